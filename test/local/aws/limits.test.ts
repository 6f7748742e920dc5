import {
  DescribeExecutionCommand,
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  GetExecutionHistoryCommand,
} from '@aws-sdk/client-sfn';
import { expect, it, vi } from 'vitest';
import { localClock } from '../../../local/clock.ts';
import { aStateMachine, aTask } from './machines.ts';

vi.setConfig({ testTimeout: 120_000 });

type Machine = Awaited<ReturnType<typeof aStateMachine>>;

/** The newest events of an execution, the last one first. */
async function newestEvents({ client }: Machine, executionArn: string | undefined, maxResults = 100) {
  const newest = new GetExecutionHistoryCommand({ executionArn, maxResults, reverseOrder: true });
  return (await client.send(newest)).events ?? [];
}

it('ends a Lambda at its own timeout, before the state’s, as Lambda reports it', async () => {
  const gate = Promise.withResolvers<void>();
  const machine = await aStateMachine(
    { Slow: aTask('slow') },
    { Slow: () => gate.promise },
    { lambdaSeconds: { Slow: 60 } },
  );
  const done = await machine.run();
  gate.resolve();
  expect(done).toMatchObject({ status: 'FAILED', error: 'Sandbox.Timedout' });
  expect(JSON.parse(done.cause ?? '')).toEqual({
    errorType: 'Sandbox.Timedout',
    errorMessage: expect.stringMatching(
      /^RequestId: [0-9a-f-]{36} Error: Task timed out after 60\.00 seconds$/,
    ),
  });
  const [, failed] = await newestEvents(machine, done.executionArn);
  expect(failed).toMatchObject({
    type: 'LambdaFunctionFailed',
    lambdaFunctionFailedEventDetails: { error: 'Sandbox.Timedout', cause: done.cause },
  });
});

it('retries a Lambda that timed out, and does not hear what the first one says later', async () => {
  const first = Promise.withResolvers<string>();
  const second = Promise.withResolvers<string>();
  let calls = 0;
  const machine = await aStateMachine(
    {
      Slow: aTask('slow', {
        Retry: [{ ErrorEquals: ['Sandbox.Timedout'], IntervalSeconds: 1, MaxAttempts: 1 }],
        End: true,
      }),
    },
    {
      Slow: () => {
        calls += 1;
        if (calls === 1) return first.promise;
        first.resolve('from the dead');
        queueMicrotask(() => second.resolve('second'));
        return second.promise;
      },
    },
    { lambdaSeconds: { Slow: 120 } },
  );
  const done = await machine.run();
  expect(done.result).toBe('second');
  const events = await newestEvents(machine, done.executionArn);
  expect(events.filter(({ type }) => type === 'LambdaFunctionSucceeded')).toHaveLength(1);
});

it('counts the limits in real time where it is told to, however fast the clock is', async () => {
  const machine = await aStateMachine(
    { Slow: aTask('slow') },
    {
      Slow: () =>
        localClock()
          .sleep(0.3)
          .then(() => 'in time'),
    },
    { timeoutSpeed: 1, lambdaSeconds: { Slow: 60 } },
  );
  expect((await machine.run()).result).toBe('in time');
});

/** A loop of two events a round. */
const aLoop = {
  Spin: {
    Type: 'Choice',
    Choices: [{ Variable: '$.on', BooleanEquals: true, Next: 'Spin' }],
    Default: 'Done',
  },
};

it('fails an execution with its 25,000th event, past any Catch', async () => {
  const machine = await aStateMachine({ ...aLoop, Done: { Type: 'Succeed' } });
  const done = await machine.run({ on: true });
  const cause = 'The execution reached the maximum number of history events (25000).';
  expect(done).toMatchObject({ status: 'FAILED', error: 'States.Runtime', cause });
  const [last, before] = await newestEvents(machine, done.executionArn, 2);
  expect(last).toMatchObject({
    id: 25_000,
    previousEventId: 24_999,
    type: 'ExecutionFailed',
    executionFailedEventDetails: { error: 'States.Runtime', cause },
  });
  expect(before).toMatchObject({ id: 24_999, type: 'ChoiceStateExited' });
});

it('says of a time that is over what States.Timeout is, in the history alone', async () => {
  const machine = await aStateMachine(
    { Slow: aTask('slow') },
    { Slow: (_input, stopping) => new Promise((resolve) => stopping.addEventListener('abort', resolve)) },
    { machine: { TimeoutSeconds: 50 } },
  );
  const done = await machine.run();
  expect([done.status, done.error, done.cause]).toEqual(['TIMED_OUT', undefined, undefined]);
  const [last] = await newestEvents(machine, done.executionArn);
  expect(last?.executionTimedOutEventDetails).toEqual({ error: 'States.Timeout' });
});

it('lets nobody use the name of an execution again for 90 days, though it has forgotten the rest', async () => {
  const day = 86_400;
  const clock = { ...localClock(), passed: 0, now: () => new Date(1_800_000_000_000 + clock.passed * 1000) };
  const machine = await aStateMachine({ Only: { Type: 'Pass', End: true } }, {}, { keepClosed: 1, clock });
  const { executionArn } = await machine.run({}, 'backup-1');
  await machine.run({}, 'backup-2');
  await expect(machine.client.send(new DescribeExecutionCommand({ executionArn }))).rejects.toBeInstanceOf(
    ExecutionDoesNotExist,
  );
  clock.passed = 89 * day;
  await expect(machine.start({}, 'backup-1')).rejects.toBeInstanceOf(ExecutionAlreadyExists);
  clock.passed = 91 * day;
  expect(await machine.start({}, 'backup-1')).toBe(executionArn);
});
