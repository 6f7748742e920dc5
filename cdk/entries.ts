import { Duration } from 'aws-cdk-lib';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { createFunction, type Surroundings } from './function.ts';
import { allow, allowExecutions, letWakeLines } from './grants.ts';
import { ADMISSION_SECONDS, ADMISSIONS_AT_ONCE } from './queue.ts';
import { machineArns, machineEnvironment, type StateMachines } from './state-machine.ts';

/** The longest that Lambda allows; a reconciler's claim (`claimSeconds`) outlives it. */
const LONGEST_SECONDS = 900;

/** The queue's consumer: one message at a time, a bounded number of them at once. */
export function createAdmission(
  scope: Construct,
  surroundings: Surroundings,
  { hostQueue, machines }: { hostQueue: Queue; machines: StateMachines },
): LambdaFunction {
  const admission = createFunction(scope, 'Admit', surroundings, {
    entry: 'queue/admit',
    description: 'xensnap: admits the head of each line to its host',
    memoryMib: 256,
    seconds: ADMISSION_SECONDS,
    atOnce: ADMISSIONS_AT_ONCE,
    reaches: [],
    table: ['GetItem', 'UpdateItem'],
    environment: { XENSNAP_QUEUE_URL: hostQueue.queueUrl },
    // A trace costs twice what a call does that has a line wait, all in all.
    onlyJoinsTraces: true,
  });
  allow(admission, ['states:SendTaskSuccess'], machineArns(machines));
  admission.addEventSource(
    new SqsEventSource(hostQueue, {
      batchSize: 1,
      reportBatchItemFailures: true,
      maxConcurrency: ADMISSIONS_AT_ONCE,
    }),
  );
  return admission;
}

/** Wakes lines for functions in the VPC, from where the queue is not in reach: no endpoint of it has to be paid for. */
export function createWakeLines(
  scope: Construct,
  surroundings: Surroundings,
  hostQueue: Queue,
): LambdaFunction {
  const wakeLines = createFunction(scope, 'WakeLines', surroundings, {
    entry: 'queue/wake-lines',
    description: 'xensnap: wakes the lines that wait for a slot which was given back',
    memoryMib: 256,
    seconds: 30,
    atOnce: 5,
    reaches: [],
    table: ['GetItem', 'UpdateItem'],
    onlyJoinsTraces: true,
  });
  letWakeLines(wakeLines, hostQueue);
  return wakeLines;
}

/** Settles jobs whose execution has ended badly. What it fails at, the janitor does; a queue keeps the event. */
export function createReconcile(
  scope: Construct,
  surroundings: Surroundings,
  machines: StateMachines,
  ends: Ends,
): LambdaFunction {
  const reconcile = createFunction(scope, 'Reconcile', surroundings, {
    entry: 'reconcile',
    description: 'xensnap: pays what a job that no longer runs still owes',
    memoryMib: 512,
    seconds: LONGEST_SECONDS,
    atOnce: 20,
    reaches: ['pool', 'glance'],
    table: ['GetItem', 'UpdateItem', 'DeleteItem'],
    environment: machineEnvironment(machines),
  });
  allowExecutions(reconcile, 'states:DescribeExecution', machines);
  handOn(reconcile, ends);
  return reconcile;
}

/** The round that finds what nobody else has tidied up. */
export function createJanitor(
  scope: Construct,
  surroundings: Surroundings,
  machines: StateMachines,
  ends: Ends,
): LambdaFunction {
  const janitor = createFunction(scope, 'Janitor', surroundings, {
    entry: 'janitor',
    description: 'xensnap: tidies up what ended jobs left',
    memoryMib: 1024,
    seconds: LONGEST_SECONDS,
    // A round may still be at work when the next one begins.
    atOnce: 2,
    reaches: ['pool', 'glance'],
    table: ['GetItem', 'UpdateItem', 'DeleteItem'],
    indexes: ['byKind', 'byOpen'],
    environment: machineEnvironment(machines),
  });
  allow(janitor, ['states:ListExecutions'], machineArns(machines));
  allowExecutions(janitor, 'states:DescribeExecution', machines);
  allowExecutions(janitor, 'states:StopExecution', machines);
  handOn(janitor, ends);
  return janitor;
}

/** The look at the schedules: well below a minute's work, however many are due. */
const TICK_SECONDS = 180;

/** Asks for the jobs of schedules that are due. What it fails at, the next minute does; `failures` keeps the event. */
export function createSchedules(
  scope: Construct,
  surroundings: Surroundings,
  machines: StateMachines,
  failures: Queue,
): LambdaFunction {
  const schedules = createFunction(scope, 'Schedules', surroundings, {
    entry: 'schedules',
    description: 'xensnap: asks for the backups that are due, stops what was cancelled',
    // Of a night's twenty thousand VMs it reads some 10 KB each, pool by pool.
    memoryMib: 1024,
    seconds: TICK_SECONDS,
    // Each minute's may take three.
    atOnce: 3,
    reaches: ['pool', 'glance'],
    table: ['GetItem', 'PutItem', 'UpdateItem', 'DeleteItem'],
    indexes: ['byKind', 'byOpen'],
    environment: machineEnvironment(machines),
    // 43,800 a month, most of which find nothing to do.
    onlyJoinsTraces: true,
  });
  allow(schedules, ['states:StartExecution'], machineArns(machines));
  allowExecutions(schedules, 'states:StopExecution', machines);
  handOn(schedules, { failures });
  return schedules;
}

/** Where an event goes that failed three times, and the answer to one that did not. */
interface Ends {
  readonly failures: Queue;
  readonly wakeLines?: LambdaFunction;
}

function handOn(handler: LambdaFunction, { failures, wakeLines }: Ends): void {
  allow(handler, ['sqs:SendMessage'], [failures.queueArn]);
  if (wakeLines) allow(handler, ['lambda:InvokeFunction'], [wakeLines.functionArn]);
  handler.configureAsyncInvoke({
    // The library's own destinations would allow more than this.
    onFailure: { bind: () => ({ destination: failures.queueArn }) },
    ...(wakeLines && { onSuccess: { bind: () => ({ destination: wakeLines.functionArn }) } }),
    retryAttempts: 2,
    maxEventAge: Duration.hours(2),
  });
}
