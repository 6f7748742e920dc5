import { dirname } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { MACHINES, STEPS } from '../../statemachine/contract.ts';
import { RETRYABLE_ERRORS } from '../../statemachine/retries.ts';
import { type Bundled, bundledFunctions } from '../cdk/assembly.ts';
import { EXAMPLE } from '../cdk/settings.ts';
import { synthesize } from '../cdk/synth.ts';
import { type Answers, fakeAws } from './fake-aws.ts';
import { type Lambda, startLambda } from './lambda.ts';

const stack = synthesize(EXAMPLE, { bundles: true });
afterAll(stack.remove);
const functions = bundledFunctions(stack);
const steps = functions.filter(({ name }) => name in STEPS).map((each) => [each.name, each] as const);

/** A function at work, with the time that the stack gives it, on services that answer so. */
async function at(bundled: Bundled, answers: Answers, use: (lambda: Lambda) => Promise<void>): Promise<void> {
  const aws = await fakeAws(answers);
  const { Properties } = stack.one('AWS::Lambda::Function', bundled.name);
  const own = Object.keys(Properties.Environment.Variables as Record<string, unknown>);
  const lambda = await startLambda(dirname(bundled.file), {
    seconds: Properties.Timeout,
    environment: {
      ...Object.fromEntries(
        own.map((name) => [name, 'arn:aws:states:us-east-1:123456789012:stateMachine:x']),
      ),
      NODE_OPTIONS: '--enable-source-maps',
      XENSNAP_CONFIG_FILE: 'config.json',
      ...aws.environment,
    },
  });
  try {
    await use(lambda);
    // Of the memory that it is given; the table of the whole run is printed at the end.
    const peak = lambda.peakMib();
    peaks.push([bundled.name, peak, Properties.MemorySize]);
    expect(peak).toBeLessThan(Properties.MemorySize);
  } finally {
    await lambda.close();
    await aws.close();
  }
}

const peaks: [name: string, peak: number, given: number][] = [];
afterAll(() => {
  const lines = peaks.map(([name, peak, given]) => `  ${name}: ${peak} of ${given} MiB`);
  console.log(`Memory after two invocations, without a pool's answers:\n${lines.join('\n')}`);
});

const of = (name: string) => {
  const found = functions.find((each) => each.name === name);
  if (!found) throw new Error(`no function ${name}`);
  return found;
};

/** Nobody knows the job. */
const EMPTY: Answers = { GetItem: () => ({}) };

it.each(steps)(
  'loads %s, which tells by name that there is no such job, and does so again',
  async (_, step) => {
    await at(step, EMPTY, async (lambda) => {
      const state = { jobId: '4b1f7a52-6d0e-4c39-8f5a-2f6f1f0f9f11' };
      for (let time = 0; time < 2; time++)
        expect(await lambda.invoke(state), lambda.output).toEqual({
          error: 'JobUnknown',
          message: expect.stringContaining(state.jobId),
        });
    });
  },
);

it('tells a table that fails by the name on which every step is tried again', async () => {
  await at(of('TakeVm'), { GetItem: () => 500, UpdateItem: () => 500 }, async (lambda) => {
    const { error } = await lambda.invoke({ jobId: 'x' });
    expect(error).toBe('ServiceUnavailable');
    expect(RETRYABLE_ERRORS).toContain(error);
  });
});

it('hands on which messages of a batch must wait, as the event source wants it', async () => {
  const later = new Date(Date.now() + 600_000).toISOString();
  const message = (jobId: string, group = 'main/h1') => ({
    messageId: `m-${jobId}`,
    receiptHandle: 'r',
    body: JSON.stringify({ jobId, ticket: 't', group, taskToken: 'k' }),
    attributes: { SentTimestamp: String(Date.now()) },
  });
  const answers: Answers = {
    GetItem: ({ Key }) => {
      const { S: id } = (Key as { id: { S: string } }).id;
      if (id.startsWith('pool#')) return { Item: { id: { S: id }, pausedUntil: { S: later } } };
      const job = {
        machine: 'snapshot',
        ticket: 't',
        ticketState: 'waiting',
        pool: 'main',
        status: 'queued',
      };
      return { Item: Object.fromEntries(Object.entries({ id, ...job }).map(([key, S]) => [key, { S }])) };
    },
    ChangeMessageVisibility: () => ({}),
  };
  await at(of('Admit'), answers, async (lambda) => {
    const malformed = { ...message('a'), body: 'nonsense' };
    const outcome = await lambda.invoke({ Records: [malformed, message('b'), message('c')] });
    expect(outcome, lambda.output).toEqual({
      answer: { batchItemFailures: [{ itemIdentifier: 'm-b' }, { itemIdentifier: 'm-c' }] },
    });
    expect(await lambda.invoke({ Records: [] })).toEqual({ answer: { batchItemFailures: [] } });
  });
});

it('answers API Gateway', async () => {
  await at(of('Api'), EMPTY, async (lambda) => {
    const http = { method: 'GET', path: '/v2.1' };
    const event = { version: '2.0', rawPath: '/v2.1', rawQueryString: '', headers: { host: 'a.example' } };
    const { answer, error } = await lambda.invoke({
      ...event,
      requestContext: { http, domainName: 'a.example' },
    });
    expect(error, lambda.output).toBeUndefined();
    expect(answer).toMatchObject({ statusCode: 200, body: expect.stringContaining('"v2.1"') });
  });
});

it('tells reconcile, and whoever wakes lines, that there is nothing to do', async () => {
  const detail = { name: 'x', status: 'FAILED', executionArn: 'arn:aws:states:us-east-1:1:execution:x:y' };
  await at(of('Reconcile'), EMPTY, async (lambda) => {
    const outcome = await lambda.invoke({ detail });
    expect(outcome.error ?? '', lambda.output).not.toMatch(/^Runtime\./);
  });
  await at(of('WakeLines'), {}, async (lambda) => {
    expect(await lambda.invoke({ responsePayload: { wake: [] } }), lambda.output).not.toHaveProperty('error');
  });
});

it('has tried every function, but those that ask a pool first', () => {
  const tried = new Set(peaks.map(([name]) => name));
  expect(functions.map(({ name }) => name).filter((name) => !tried.has(name))).toEqual([
    'Janitor',
    'Schedules',
  ]);
  expect(Object.keys(MACHINES)).toHaveLength(2);
});
