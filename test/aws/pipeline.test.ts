import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Asl } from '../../local/aws/states/walk.ts';
import { type Deployed, deploy } from '../cdk/deployed.ts';
import { localEngine, type StartEngine } from '../cdk/engine.ts';
import { idleRights, refusals } from '../cdk/iam/rights.ts';
import { EXAMPLE } from '../cdk/settings.ts';
import { synthesize } from '../cdk/synth.ts';
import { interference } from './interference.ts';
import { motoEngine } from './moto-engine.ts';
import { SCENARIOS } from './scenarios.ts';
import { eventsIn, type Visit, visitsOf, withoutWaits } from './shape.ts';

const stack = synthesize(EXAMPLE, { bundles: true });
afterAll(stack.remove);

/** What runs under what. On both, the functions are the stack's bundles, in this process. */
const ENGINES: Readonly<Record<string, StartEngine>> = { 'our stand-ins': localEngine, moto: motoEngine };

/** What the jobs of each scenario did, by engine. */
const seen: Record<string, Record<string, readonly Visit[]>> = {};

const UNDER = [
  "The whole pipeline. Functions: the stack's bundles, in this process, on a simulated pool and the embedded Glance.",
  'Step Functions, SQS, DynamoDB, Secrets Manager: our stand-ins, then moto, made from the template.',
  "Lambda's Invoke, event source mapping, status events, results handed on, schedules: the test itself.",
];
/** What is said at the end. */
const told: string[] = [];
beforeAll(() => {
  // The functions' logs and metrics: JSON, a line each.
  const write = process.stdout.write.bind(process.stdout);
  vi.spyOn(process.stdout, 'write').mockImplementation((line, ...more) =>
    String(line).startsWith('{"') ? true : write(line, ...(more as [])),
  );
});
afterAll(() => {
  vi.restoreAllMocks();
  console.log([...UNDER, ...told].join('\n  '));
});

/** A restore waits in a line for so long only: two days would be too much for a test. */
const LINE_SECONDS = 15;
function shortLine(document: Asl): Asl {
  if (document.StartAt !== 'InspectImage') return document;
  const states = document.States as Record<string, Asl>;
  return {
    ...document,
    States: { ...states, QueueForHost: { ...states.QueueForHost, TimeoutSeconds: LINE_SECONDS } },
  };
}

describe.each(Object.entries(ENGINES))('on %s', (engine, start) => {
  const means = interference();
  const closing: (() => Promise<unknown>)[] = [];
  let deployed: Deployed;
  beforeAll(async () => {
    deployed = await deploy(stack, (close) => closing.push(close), {
      engine: start,
      pool: { hosts: 1, vms: 4 },
      slotsPerHost: 1,
      around: means.around,
      change: shortLine,
    });
  });
  afterAll(async () => {
    for (const close of closing.toReversed()) await close();
  });

  it.each(Object.entries(SCENARIOS))('plays %s', { timeout: 150_000 }, async (name, play) => {
    const jobs = await play({ deployed, ...means, vms: deployed.pool.vms().map(({ uuid }) => uuid) });
    for (const [job, id] of Object.entries(jobs)) {
      const key = `${name}: ${job}`;
      seen[key] = { ...seen[key], [engine]: visitsOf(await wholeHistory(deployed, id)) };
    }
    await expect.poll(() => deployed.leftBehind(), { timeout: 60_000 }).toEqual([]);
  });

  it('made no call of AWS that the stack would refuse, and would have made one without any of its rights', () => {
    const made = deployed.calls.made();
    expect(refusals(made, deployed.rights)).toEqual([]);
    const idle = idleRights(made, deployed.rights).filter((right) => !isOfALibrary(right));
    const found = [...new Set(idle.map((right) => right.split(' on ')[0]))];
    expect(found.toSorted()).toEqual(Object.values(IDLE).flat().toSorted());
    told.push(
      `${engine}: ${made.length} calls, with what each is made on, decided by the policies of the stack`,
    );
  });
});

/** A job is settled a moment before its execution leaves the last state. */
async function wholeHistory(deployed: Deployed, job: string) {
  return vi.waitFor(
    async () => {
      const history = await deployed.history(job);
      expect(history.at(-1)?.type).toMatch(/^Execution(Succeeded|Failed|Aborted|TimedOut)$/);
      return history;
    },
    { timeout: 30_000, interval: 250 },
  );
}

/** Rights that no scenario takes: why, and which. */
const IDLE = {
  'no job found its VM held by another one': ['TakeVmRole dynamodb:GetItem'],
  'no VM was booted to prove its image': [
    'TestVmRole dynamodb:GetItem',
    'TestVmRole secretsmanager:GetSecretValue',
  ],
  'nothing failed for good': [
    'ReconcileRole sqs:SendMessage',
    'JanitorRole sqs:SendMessage',
    'SchedulesRole sqs:SendMessage',
    'JanitorScheduleRole sqs:SendMessage',
    'BackupsRole sqs:SendMessage',
  ],
  'the janitor had nothing to tidy up': [
    'JanitorRole dynamodb:DeleteItem',
    'JanitorRole states:DescribeExecution',
    'JanitorRole states:StopExecution',
  ],
  'no test of a restore was due, and no run was cancelled': [
    'SchedulesRole dynamodb:DeleteItem',
    'SchedulesRole states:StartExecution',
    'SchedulesRole states:StopExecution',
  ],
};

/** What the CDK allows beside what is needed: a function without its versions, or with them, and a queue's URL by name. */
function isOfALibrary(right: string): boolean {
  const [role = '', action = '', , resource = ''] = right.split(' ');
  if (role.startsWith('DynamodbPrefixList')) return true;
  if (action === 'lambda:InvokeFunction') return role.endsWith('MachineRole') !== resource.endsWith(':*');
  return action === 'sqs:GetQueueUrl' || ['logs', 'xray'].includes(action.split(':')[0] ?? '');
}

it('passes the same states, in the same order and with the same events, on both', () => {
  for (const [job, { moto = [], ...others }] of Object.entries(seen)) {
    for (const visits of Object.values(others)) expect(withoutWaits(moto), job).toEqual(withoutWaits(visits));
    told.push(`${job}: ${eventsIn(withoutWaits(moto))} events on both, waits aside`);
  }
});
