import { GetExecutionHistoryCommand, type HistoryEventType, SFNClient } from '@aws-sdk/client-sfn';
import { expect, it } from 'vitest';
import { eventsOf } from '../../functions/events.ts';
import { createExecutions } from '../../functions/executions.ts';
import { mockedClass } from '../support/mocked-aws.ts';
import { aJob } from './api/a-job.ts';

const CREATED = '2026-01-02T03:04:00.000Z';
const at = (second: number) => new Date(Date.parse(CREATED) + second * 1000);
const iso = (second: number) => at(second).toISOString();

const SFN = mockedClass(SFNClient);

/** The history of an execution with these events, as AWS gives them without execution data. */
function history(...events: [second: number, type: string, details?: object][]) {
  SFN.reset();
  SFN.on(GetExecutionHistoryCommand).resolves({
    events: events.map(([second, type, details]) => ({
      ...{ timestamp: at(second), type: type as HistoryEventType, id: 0 },
      ...details,
    })),
  });
  const machine = 'arn:aws:states:us-east-1:123456789012:stateMachine:xensnap';
  const arns = { snapshot: machine, restore: `${machine}-restore` };
  return createExecutions(new SFNClient({ region: 'us-east-1' }), arns).history({
    machine: 'snapshot',
    id: 'job1',
  });
}
const enter = (name: string) => ({ stateEnteredEventDetails: { name } });
const failed = (error: string, errorMessage: string) => ({
  lambdaFunctionFailedEventDetails: { error, cause: JSON.stringify({ errorMessage }) },
});
const NEW = aJob({ createdAt: CREATED });
const REQUESTED = { state: 'Requested', from: CREATED, to: CREATED, tries: 1, failures: 0 };

it('makes one event of each state, between the beginning and the end on record', async () => {
  const job = aJob({
    createdAt: CREATED,
    finishedAt: iso(9),
    error: { name: 'StorageFull', message: 'full' },
  });
  const events = await eventsOf(
    job,
    history(
      [1, 'ExecutionStarted'],
      [1, 'TaskStateEntered', enter('TakeVm')],
      [1, 'LambdaFunctionScheduled'],
      [1, 'LambdaFunctionStarted'],
      [2, 'LambdaFunctionSucceeded'],
      [2, 'TaskStateExited'],
      [2, 'ChoiceStateEntered', enter('IsVmTaken')],
      [2, 'ChoiceStateExited'],
      [3, 'TaskStateEntered', enter('InspectVm')],
      [3, 'LambdaFunctionScheduled'],
      [4, 'LambdaFunctionFailed', failed('StorageFull', 'full')],
      [4, 'TaskStateExited'],
      [5, 'ExecutionFailed'],
    ),
  );
  expect(events).toEqual([
    REQUESTED,
    { state: 'TakeVm', from: iso(1), to: iso(2), tries: 1, failures: 0 },
    {
      ...{ state: 'InspectVm', from: iso(3), to: iso(4), tries: 1, failures: 1 },
      failure: { at: iso(4), name: 'StorageFull', message: 'full' },
    },
    {
      ...{ state: 'Finished', from: iso(9), to: iso(9), tries: 1, failures: 1 },
      failure: { at: iso(9), name: 'StorageFull', message: 'full' },
    },
  ]);
});

it('makes one event of a poll, however often it looks', async () => {
  const looks = [10, 20, 30].flatMap((second): [number, string, object?][] => [
    [second, 'TaskStateEntered', enter('PollUpload')],
    [second, 'LambdaFunctionScheduled'],
    [second + 1, 'LambdaFunctionSucceeded'],
    [second + 1, 'TaskStateExited'],
    [second + 1, 'WaitStateEntered', enter('WaitForUpload')],
  ]);
  const events = await eventsOf(NEW, history(...looks));
  expect(events).toEqual([
    REQUESTED,
    { state: 'PollUpload', from: iso(10), to: iso(31), tries: 3, failures: 0 },
  ]);
});

it('says by when what failed is tried again: the longest that the state machine may wait', async () => {
  const fails = (second: number): [number, string, object?][] => [
    [second, 'LambdaFunctionScheduled'],
    [second, 'LambdaFunctionFailed', failed('KeystoneUnavailable', 'Keystone does not answer.')],
  ];
  const entered: [number, string, object] = [0, 'TaskStateEntered', enter('VerifyImage')];
  const { Retry } = (await import('../../functions/asl.ts')).stateOf('snapshot', 'VerifyImage');
  const rule = Retry?.find(({ ErrorEquals }) => ErrorEquals.includes('KeystoneUnavailable'));
  if (!rule) throw new Error('VerifyImage is not tried again after KeystoneUnavailable');
  const failures = [0, 10, 20];
  const events = await eventsOf(NEW, history(entered, ...failures.flatMap(fails)));
  const delay = Math.min(rule.IntervalSeconds * rule.BackoffRate ** 2, rule.MaxDelaySeconds);
  expect(events.at(-1)).toEqual({
    ...{ state: 'VerifyImage', from: iso(0), tries: 3, failures: 3, nextTryBy: iso(20 + delay) },
    failure: { at: iso(20), name: 'KeystoneUnavailable', message: 'Keystone does not answer.' },
  });
  const again = await eventsOf(
    NEW,
    history(entered, ...failures.flatMap(fails), [25, 'LambdaFunctionScheduled']),
  );
  expect(again.at(-1)).not.toHaveProperty('nextTryBy');
});

it('says of no next try where none comes: the error is not tried again, the tries are used up, the state was left', async () => {
  const entered: [number, string, object] = [0, 'TaskStateEntered', enter('InspectVm')];
  const of = async (error: string, count: number, ...more: [number, string, object?][]) => {
    const fails = Array.from({ length: count }, (): [number, string, object] => [
      5,
      'LambdaFunctionFailed',
      failed(error, 'x'),
    ]);
    return (await eventsOf(NEW, history(entered, ...fails, ...more))).at(-1)?.nextTryBy;
  };
  expect(await of('XapiBusy', 1)).toBeDefined();
  expect(await of('StorageFull', 1)).toBeUndefined();
  expect(await of('XapiFailure', 4)).toBeDefined();
  expect(await of('XapiFailure', 5)).toBeUndefined();
  expect(await of('XapiBusy', 1, [6, 'ExecutionAborted'])).toBeUndefined();
});

it('tells a time-out of Lambda and of a task, and a message that the queue did not take', async () => {
  const failures: [string, object, string][] = [
    ['LambdaFunctionTimedOut', {}, 'TimedOut'],
    [
      'LambdaFunctionTimedOut',
      { lambdaFunctionTimedOutEventDetails: { error: 'States.Timeout' } },
      'TimedOut',
    ],
    [
      'TaskFailed',
      { taskFailedEventDetails: { error: 'SQS.AmazonSQSException', cause: 'x' } },
      'ServiceUnavailable',
    ],
    [
      'TaskSubmitFailed',
      { taskSubmitFailedEventDetails: { error: 'SQS.SdkClientException' } },
      'ServiceUnavailable',
    ],
  ];
  for (const [type, details, name] of failures) {
    const events = await eventsOf(
      NEW,
      history([0, 'TaskStateEntered', enter('QueueForHost')], [1, type, details]),
    );
    expect(events.at(-1)?.failure?.name, type).toBe(name);
  }
});

it('has the beginning and the end where there is no history any more', async () => {
  const events = await eventsOf(aJob({ createdAt: CREATED, finishedAt: iso(9) }), history());
  expect(events.map(({ state }) => state)).toEqual(['Requested', 'Finished']);
});
