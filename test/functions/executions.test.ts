import {
  DescribeExecutionCommand,
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  GetExecutionHistoryCommand,
  ListExecutionsCommand,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { allCustomMatcher } from 'aws-sdk-client-mock-vitest';
import { beforeEach, expect, it } from 'vitest';
import { createExecutions, type Executions } from '../../functions/executions.ts';
import { mockedClass } from '../support/mocked-aws.ts';
import 'aws-sdk-client-mock-vitest/extend';

expect.extend(allCustomMatcher);

const MACHINE = 'arn:aws:states:us-east-1:123456789012:stateMachine:xensnap';
const ARNS = { snapshot: MACHINE, restore: `${MACHINE}-restore` };
const JOB = { machine: 'snapshot', id: 'job1' } as const;
const EXECUTION = 'arn:aws:states:us-east-1:123456789012:execution:xensnap:job1';
const sfn = mockedClass(SFNClient);
const executions = createExecutions(new SFNClient({ region: 'us-east-1' }), ARNS);
const ofSdk = { message: 'x', $metadata: {} };

beforeEach(() => sfn.reset());

it('starts an execution that is named after its job, with nothing but its id', async () => {
  sfn.on(StartExecutionCommand).resolves({});
  await executions.start(JOB);
  expect(sfn).toHaveReceivedCommandExactlyOnceWith(StartExecutionCommand, {
    stateMachineArn: MACHINE,
    name: 'job1',
    input: '{"jobId":"job1"}',
  });
});

it('takes an execution that is there already for started', async () => {
  sfn.on(StartExecutionCommand).rejects(new ExecutionAlreadyExists(ofSdk));
  await executions.start(JOB);
});

it('says how an execution stands, with what it failed of', async () => {
  sfn.on(DescribeExecutionCommand, { executionArn: EXECUTION }).resolvesOnce({ status: 'RUNNING' }).resolves({
    status: 'FAILED',
    error: 'JobNotSucceeded',
    cause: 'why',
  });
  expect(await executions.describe(JOB)).toEqual({ status: 'RUNNING' });
  expect(await executions.describe(JOB)).toEqual({
    status: 'FAILED',
    error: 'JobNotSucceeded',
    cause: 'why',
  });
});

it('reads a history to its end, without what went through the states; none of an execution that is not there', async () => {
  const states = async () => {
    const found: (string | undefined)[] = [];
    for await (const { state } of executions.history(JOB)) found.push(state);
    return found;
  };
  const of = { executionArn: EXECUTION, includeExecutionData: false, maxResults: 1000 };
  const event = (name: string) => ({
    ...{ id: 1, timestamp: new Date(0), type: 'TaskStateEntered' as const },
    stateEnteredEventDetails: { name },
  });
  sfn
    .on(GetExecutionHistoryCommand, of)
    .resolves({ events: [event('A'), event('B')], nextToken: 'next' })
    .on(GetExecutionHistoryCommand, { ...of, nextToken: 'next' })
    .resolves({ events: [event('C')] });
  expect(await states()).toEqual(['A', 'B', 'C']);
  sfn.on(GetExecutionHistoryCommand).rejects(new ExecutionDoesNotExist(ofSdk));
  expect(await states()).toEqual([]);
});

it('says nothing of an execution that is not there', async () => {
  sfn.on(DescribeExecutionCommand).rejects(new ExecutionDoesNotExist(ofSdk));
  expect(await executions.describe(JOB)).toBeUndefined();
});

it('stops an execution with the reason, and leaves alone one that is not there', async () => {
  sfn.on(StopExecutionCommand).resolvesOnce({}).rejects(new ExecutionDoesNotExist(ofSdk));
  await executions.stop(JOB, 'cancelled by its caller');
  expect(sfn).toHaveReceivedCommandExactlyOnceWith(StopExecutionCommand, {
    executionArn: EXECUTION,
    error: 'JobCancelled',
    cause: 'cancelled by its caller',
  });
  await executions.stop(JOB, 'again');
});

it.each<[keyof Executions, (executions: Executions) => Promise<unknown>]>([
  ['start', ({ start }) => start(JOB)],
  ['describe', ({ describe }) => describe(JOB)],
  ['stop', ({ stop }) => stop(JOB, 'why')],
])('passes on what else goes wrong at %s', async (_what, act) => {
  sfn.onAnyCommand().rejects(Object.assign(new Error('slow down'), { name: 'ThrottlingException' }));
  await expect(act(executions)).rejects.toMatchObject({ name: 'ThrottlingException' });
});

it('has the restores run in a machine of their own, and lists those of both', async () => {
  const restore = { machine: 'restore', id: 'job2' } as const;
  sfn.on(StartExecutionCommand).resolves({});
  await executions.start(restore);
  expect(sfn).toHaveReceivedCommandExactlyOnceWith(StartExecutionCommand, {
    stateMachineArn: ARNS.restore,
    name: 'job2',
    input: '{"jobId":"job2"}',
  });
  const listed = (name: string) => ({
    executions: [
      {
        ...{ name, executionArn: '', stateMachineArn: '', startDate: new Date(0) },
        status: 'RUNNING' as const,
      },
    ],
  });
  sfn
    .on(ListExecutionsCommand, { stateMachineArn: ARNS.snapshot })
    .resolves(listed('job1'))
    .on(ListExecutionsCommand, { stateMachineArn: ARNS.restore })
    .resolves(listed('job2'));
  expect(await Array.fromAsync(executions.running())).toEqual([JOB, restore]);
});
