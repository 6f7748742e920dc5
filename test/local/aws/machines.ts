import { once } from 'node:events';
import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { onTestFinished } from 'vitest';
import { LOCAL_AWS } from '../../../local/aws/in-process.ts';
import type { StatusChangeEvent } from '../../../local/aws/states/status-event.ts';
import type { Handler } from '../../../local/aws/states/tasks.ts';
import { type StepFunctionsOptions, startStepFunctions } from '../../../local/aws/step-functions.ts';
import { localClock } from '../../../local/clock.ts';

export const lambda = (name: string) => `arn:aws:lambda:us-east-1:000000000000:function:${name}:1`;

/** A task state with a Lambda of the given name. */
export function aTask(name: string, more: object = { End: true }) {
  return { Type: 'Task', Resource: lambda(name), TimeoutSeconds: 3600, ...more };
}

/** A state that hands its token to the queue. */
export function aCallback(more: object = { End: true }) {
  return {
    Type: 'Task',
    Resource: 'arn:aws:states:::sqs:sendMessage.waitForTaskToken',
    Parameters: {
      QueueUrl: 'http://127.0.0.1/000000000000/hosts.fifo',
      MessageBody: { 'token.$': '$$.Task.Token', 'job.$': '$$.Execution.Name' },
      'MessageGroupId.$': "States.Format('{}-{}', $.pool, $$.Execution.Name)",
    },
    TimeoutSeconds: 3600,
    ...more,
  };
}

/** A local Step Functions with the given states, its SDK client, and what it reported and sent. */
export async function aStateMachine(
  states: Record<string, object>,
  resources: Record<string, Handler> = {},
  more: Partial<StepFunctionsOptions> & { machine?: object } = {},
) {
  const { machine, ...options } = more;
  const changes: StatusChangeEvent[] = [];
  const sent: { queueUrl: string; body: Record<string, string>; groupId: string | undefined }[] = [];
  const reports = new EventTarget();
  const service = await startStepFunctions({
    definitions: { xensnap: { StartAt: Object.keys(states)[0], States: states, ...machine } },
    resources,
    clock: localClock(1000),
    sendMessage: async (queueUrl, body, groupId) => {
      sent.push({ queueUrl, body: JSON.parse(body), groupId });
      reports.dispatchEvent(new Event('sent'));
    },
    onStatusChange: (event) => {
      changes.push(event);
      reports.dispatchEvent(new Event(event.detail.status === 'RUNNING' ? 'started' : 'ended'));
    },
    ...options,
  });
  const client = new SFNClient({ endpoint: service.endpoint, maxAttempts: 1, ...LOCAL_AWS });
  onTestFinished(async () => {
    client.destroy();
    await service.close();
  });
  const stateMachineArn = service.arnOf('xensnap');

  async function start(input: unknown = {}, name?: string): Promise<string> {
    const { executionArn } = await client.send(
      new StartExecutionCommand({ stateMachineArn, input: JSON.stringify(input), ...(name && { name }) }),
    );
    return String(executionArn);
  }

  async function ended(executionArn: string) {
    while (!changes.some(({ detail }) => detail.executionArn === executionArn && detail.status !== 'RUNNING'))
      await once(reports, 'ended');
    const found = await client.send(new DescribeExecutionCommand({ executionArn }));
    return { ...found, result: found.output === undefined ? undefined : JSON.parse(found.output) };
  }

  return {
    client,
    stateMachineArn,
    service,
    changes,
    sent,
    start,
    ended,
    run: async (input: unknown = {}, name?: string) => ended(await start(input, name)),
    /** Resolves when the n-th message has been handed to the queue. */
    async message(n = 1) {
      while (sent.length < n) await once(reports, 'sent');
      const found = sent[n - 1];
      if (!found) throw new Error('no message');
      return found;
    },
  };
}

/** An error with the name that the state machine is to see. */
export function named(name: string, message = 'as told'): Error {
  return Object.assign(new Error(message), { name });
}
