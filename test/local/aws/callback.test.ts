import {
  GetExecutionHistoryCommand,
  InvalidOutput,
  InvalidToken,
  SendTaskFailureCommand,
  SendTaskSuccessCommand,
  StopExecutionCommand,
  TaskDoesNotExist,
  TaskTimedOut,
} from '@aws-sdk/client-sfn';
import { expect, it } from 'vitest';
import { aCallback, aStateMachine, aTask, named } from './machines.ts';

type Machine = Awaited<ReturnType<typeof aStateMachine>>;

const succeed = ({ client }: Machine, taskToken: string | undefined, output = '{"slot":1}') =>
  client.send(new SendTaskSuccessCommand({ taskToken, output }));

it('sends the token with the message and goes on when it is returned', async () => {
  const machine = await aStateMachine({ Queue: aCallback({ ResultPath: '$.granted', End: true }) });
  const execution = await machine.start({ pool: 'p' }, 'job-1');
  const { body, groupId, queueUrl } = await machine.message();
  expect(queueUrl).toBe('http://127.0.0.1/000000000000/hosts.fifo');
  expect(body.job).toBe('job-1');
  expect(groupId).toBe('p-job-1');
  await succeed(machine, body.token);
  expect((await machine.ended(execution)).result).toEqual({ pool: 'p', granted: { slot: 1 } });
  const history = new GetExecutionHistoryCommand({ executionArn: execution });
  const { events = [] } = await machine.client.send(history);
  expect(events.map(({ type }) => type)).toEqual([
    'ExecutionStarted',
    'TaskStateEntered',
    'TaskScheduled',
    'TaskStarted',
    'TaskSubmitted',
    'TaskSucceeded',
    'TaskStateExited',
    'ExecutionSucceeded',
  ]);
  await expect(succeed(machine, body.token)).rejects.toBeInstanceOf(TaskTimedOut);
});

it('fails the state with the name and cause that come back with the token', async () => {
  const states = {
    Queue: aCallback({
      Catch: [{ ErrorEquals: ['NoSlot'], ResultPath: '$.failure', Next: 'End' }],
      Next: 'End',
    }),
    End: { Type: 'Succeed' },
  };
  const machine = await aStateMachine(states);
  const execution = await machine.start({ pool: 'p' });
  const { body } = await machine.message();
  const failure = { taskToken: body.token, error: 'NoSlot', cause: 'full' };
  await machine.client.send(new SendTaskFailureCommand(failure));
  const { result } = await machine.ended(execution);
  expect(result.failure).toEqual({ Error: 'NoSlot', Cause: 'full' });
});

it('makes a new token for each attempt', async () => {
  const retry = [{ ErrorEquals: ['Again'], IntervalSeconds: 1 }];
  const machine = await aStateMachine({ Queue: aCallback({ Retry: retry, End: true }) });
  const execution = await machine.start({ pool: 'p' });
  const first = await machine.message(1);
  await machine.client.send(new SendTaskFailureCommand({ taskToken: first.body.token, error: 'Again' }));
  const second = await machine.message(2);
  expect(second.body.token).not.toBe(first.body.token);
  await succeed(machine, second.body.token);
  expect((await machine.ended(execution)).status).toBe('SUCCEEDED');
});

it('refuses the token of a task that timed out and of an execution that was stopped', async () => {
  const machine = await aStateMachine({ Queue: aCallback({ TimeoutSeconds: 50, End: true }) });
  const late = await machine.run({ pool: 'p' });
  expect(late).toMatchObject({ status: 'FAILED', error: 'States.Timeout' });
  const { body } = await machine.message(1);
  await expect(succeed(machine, body.token)).rejects.toThrow('Provided task does not exist anymore');

  const patient = await aStateMachine({ Queue: aCallback() });
  const executionArn = await patient.start({ pool: 'p' });
  const stopped = await patient.message(1);
  await patient.client.send(new StopExecutionCommand({ executionArn }));
  await expect(succeed(patient, stopped.body.token)).rejects.toBeInstanceOf(TaskTimedOut);
});

it('tells a token that it never made from one that is none', async () => {
  const one = await aStateMachine({ Queue: aCallback() });
  const other = await aStateMachine({ Only: aTask('only') }, { Only: async () => null });
  await one.start({ pool: 'p' });
  const { body } = await one.message();
  await expect(succeed(other, body.token)).rejects.toBeInstanceOf(TaskDoesNotExist);
  await expect(succeed(other, 'nonsense')).rejects.toBeInstanceOf(InvalidToken);
  await expect(succeed(one, body.token, 'no json')).rejects.toBeInstanceOf(InvalidOutput);
});

it('fails the state when the queue refuses the message', async () => {
  const sendMessage = () => Promise.reject(named('QueueDoesNotExist', 'no such queue'));
  const machine = await aStateMachine({ Queue: aCallback() }, {}, { sendMessage });
  expect(await machine.run({ pool: 'p' })).toMatchObject({
    status: 'FAILED',
    error: 'SQS.QueueDoesNotExist',
    cause: 'no such queue',
  });
});
