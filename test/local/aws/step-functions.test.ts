import {
  DescribeExecutionCommand,
  DescribeStateMachineCommand,
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  GetExecutionHistoryCommand,
  InvalidExecutionInput,
  InvalidName,
  ListExecutionsCommand,
  StartExecutionCommand,
  StateMachineDoesNotExist,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { expect, it } from 'vitest';
import { localClock } from '../../../local/clock.ts';
import { aStateMachine, aTask, lambda, named } from './machines.ts';

it('runs the handlers named after the states and describes what came of it', async () => {
  const states = {
    First: aTask('first', { ResultPath: '$.first', Next: 'Second' }),
    Second: aTask('second', {
      Parameters: { 'job.$': '$$.Execution.Name', 'first.$': '$.first' },
      End: true,
    }),
  };
  const machine = await aStateMachine(states, {
    First: async () => ({ answer: 42, nothing: undefined }),
    Second: async (input) => ({ got: input }),
  });
  const done = await machine.run({ vm: 'x' }, 'job-1');
  expect(done).toMatchObject({ status: 'SUCCEEDED', name: 'job-1', input: '{"vm":"x"}' });
  expect(done.result).toEqual({ got: { job: 'job-1', first: { answer: 42 } } });
  expect(done.stopDate?.getTime()).toBeGreaterThanOrEqual(done.startDate?.getTime() ?? 0);
});

it('runs a document whose Lambdas are still placeholders', async () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's placeholder
  const Resource = '${OnlyArn}';
  const machine = await aStateMachine({ Only: { ...aTask('only'), Resource } }, { Only: async () => 1 });
  expect((await machine.run()).result).toBe(1);
});

it('gives handlers copies, so that one cannot change what the next one sees', async () => {
  const machine = await aStateMachine(
    { Spoil: aTask('spoil', { ResultPath: null, Next: 'Look' }), Look: aTask('look') },
    {
      Spoil: async (input) => Object.assign(input as object, { spoiled: true }),
      Look: async (input) => input,
    },
  );
  expect((await machine.run({ clean: true })).result).toEqual({ clean: true });
});

it('treats the same name and input as the same execution while it runs', async () => {
  const gate = Promise.withResolvers<void>();
  const machine = await aStateMachine({ Hold: aTask('hold') }, { Hold: () => gate.promise });
  const first = await machine.start({ n: 1 }, 'same');
  expect(await machine.start({ n: 1 }, 'same')).toBe(first);
  await expect(machine.start({ n: 2 }, 'same')).rejects.toBeInstanceOf(ExecutionAlreadyExists);
  gate.resolve();
  await machine.ended(first);
  await expect(machine.start({ n: 1 }, 'same')).rejects.toBeInstanceOf(ExecutionAlreadyExists);
});

it('refuses what Step Functions refuses', async () => {
  const machine = await aStateMachine({ Only: aTask('only') }, { Only: async () => null });
  const { client, stateMachineArn } = machine;
  const elsewhere = `${stateMachineArn}-other`;
  const send = (more: object) => client.send(new StartExecutionCommand({ stateMachineArn, ...more }));
  await expect(machine.start({}, 'a:b')).rejects.toBeInstanceOf(InvalidName);
  await expect(machine.start({}, 'x'.repeat(81))).rejects.toBeInstanceOf(InvalidName);
  await expect(send({ input: '{' })).rejects.toBeInstanceOf(InvalidExecutionInput);
  await expect(send({ input: JSON.stringify('x'.repeat(262_144)) })).rejects.toThrow(/less than or equal/);
  await expect(send({ stateMachineArn: elsewhere })).rejects.toBeInstanceOf(StateMachineDoesNotExist);
  const missing = new DescribeExecutionCommand({ executionArn: `${stateMachineArn}:none` });
  await expect(client.send(missing)).rejects.toBeInstanceOf(ExecutionDoesNotExist);
});

it('describes its state machine', async () => {
  const machine = await aStateMachine({ Only: aTask('only') }, { Only: async () => null });
  const { stateMachineArn } = machine;
  const found = await machine.client.send(new DescribeStateMachineCommand({ stateMachineArn }));
  expect(found).toMatchObject({ status: 'ACTIVE', type: 'STANDARD' });
  expect(JSON.parse(found.definition ?? '')).toHaveProperty('States.Only');
});

it('keeps a history in the types of Step Functions, paged and in both directions', async () => {
  const states = {
    Try: aTask('try', {
      Retry: [{ ErrorEquals: ['Busy'], IntervalSeconds: 1, MaxAttempts: 1 }],
      Next: 'Rest',
    }),
    Rest: { Type: 'Wait', Seconds: 1, Next: 'Done' },
    Done: { Type: 'Succeed' },
  };
  let attempts = 0;
  const machine = await aStateMachine(states, {
    Try: async () => {
      attempts += 1;
      if (attempts === 1) throw named('Busy');
      return { attempts };
    },
  });
  const executionArn = String((await machine.run()).executionArn);
  const read = (more: object) =>
    machine.client.send(new GetExecutionHistoryCommand({ executionArn, ...more }));
  const { events = [] } = await read({});
  expect(events.map(({ type }) => type)).toEqual([
    'ExecutionStarted',
    'TaskStateEntered',
    'LambdaFunctionScheduled',
    'LambdaFunctionStarted',
    'LambdaFunctionFailed',
    'LambdaFunctionScheduled',
    'LambdaFunctionStarted',
    'LambdaFunctionSucceeded',
    'TaskStateExited',
    'WaitStateEntered',
    'WaitStateExited',
    'SucceedStateEntered',
    'SucceedStateExited',
    'ExecutionSucceeded',
  ]);
  expect(events[2]?.lambdaFunctionScheduledEventDetails).toEqual({ resource: lambda('try'), input: '{}' });
  expect(events[4]?.lambdaFunctionFailedEventDetails?.error).toBe('Busy');
  expect(events[8]?.stateExitedEventDetails).toMatchObject({ name: 'Try', output: '{"attempts":2}' });
  expect(events[13]?.executionSucceededEventDetails?.output).toBe('{"attempts":2}');
  const newest = await read({ reverseOrder: true, maxResults: 10 });
  expect(newest.events?.[0]).toMatchObject({ id: 14, type: 'ExecutionSucceeded' });
  const oldest = await read({ reverseOrder: true, maxResults: 10, nextToken: newest.nextToken });
  expect(oldest.events?.map(({ id }) => id)).toEqual([4, 3, 2, 1]);
  expect(oldest.nextToken).toBeUndefined();
});

it('lists executions newest first, by status and page by page', async () => {
  const machine = await aStateMachine(
    { Only: aTask('only') },
    { Only: async (input) => (input as { fail?: boolean }).fail && Promise.reject(named('No')) },
  );
  for (const fail of [false, true, false]) await machine.run({ fail });
  const { client, stateMachineArn } = machine;
  const list = (more: object) => client.send(new ListExecutionsCommand({ stateMachineArn, ...more }));
  expect((await list({ statusFilter: 'FAILED' })).executions).toHaveLength(1);
  const first = await list({ maxResults: 2 });
  expect(first.executions?.map(({ status }) => status)).toEqual(['SUCCEEDED', 'FAILED']);
  const second = await list({ maxResults: 2, nextToken: first.nextToken });
  expect(second.executions).toHaveLength(1);
});

it('stops an execution while its handler goes on unnoticed and nothing is retried', async () => {
  const gate = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  let calls = 0;
  const states = {
    Hold: aTask('hold', {
      Retry: [{ ErrorEquals: ['States.ALL'], MaxAttempts: 5 }],
      Catch: [{ ErrorEquals: ['States.ALL'], Next: 'After' }],
      Next: 'After',
    }),
    After: aTask('after'),
  };
  const machine = await aStateMachine(states, {
    Hold: async () => {
      calls += 1;
      entered.resolve();
      await gate.promise;
      throw named('TooLate');
    },
    After: async () => {
      calls += 1;
    },
  });
  const executionArn = await machine.start();
  await entered.promise;
  const stop = new StopExecutionCommand({ executionArn, error: 'Cancelled', cause: 'by its owner' });
  await machine.client.send(stop);
  expect(await machine.ended(executionArn)).toMatchObject({
    status: 'ABORTED',
    error: 'Cancelled',
    cause: 'by its owner',
  });
  gate.resolve();
  await machine.service.close();
  expect(calls).toBe(1);
});

it('stops an execution that waits', async () => {
  const machine = await aStateMachine(
    { Rest: { Type: 'Wait', Seconds: 86_400, End: true } },
    {},
    { clock: localClock() },
  );
  const executionArn = await machine.start();
  await machine.client.send(new StopExecutionCommand({ executionArn }));
  expect((await machine.ended(executionArn)).status).toBe('ABORTED');
});

it('reports every change of status as EventBridge would', async () => {
  const machine = await aStateMachine({ Only: aTask('only') }, { Only: () => Promise.reject(named('No')) });
  const { executionArn } = await machine.run({ vm: 'x' }, 'job-1');
  expect(machine.changes.map(({ detail }) => detail.status)).toEqual(['RUNNING', 'FAILED']);
  expect(machine.changes[1]).toMatchObject({
    source: 'aws.states',
    'detail-type': 'Step Functions Execution Status Change',
    resources: [executionArn],
    detail: { name: 'job-1', status: 'FAILED', input: '{"vm":"x"}', output: null, error: 'No' },
  });
});

it('forgets what runs, without an event, when the service is closed', async () => {
  const entered = Promise.withResolvers<void>();
  let ended = false;
  const machine = await aStateMachine(
    { Hold: aTask('hold', { Next: 'After' }), After: aTask('after') },
    {
      Hold: (_input, stopping) => {
        entered.resolve();
        return new Promise((resolve) => stopping.addEventListener('abort', resolve));
      },
      After: async () => {
        ended = true;
      },
    },
  );
  await machine.start();
  await entered.promise;
  await machine.service.close();
  await expect(machine.start()).rejects.toThrow();
  expect(machine.changes.map(({ detail }) => detail.status)).toEqual(['RUNNING']);
  expect(ended).toBe(false);
});

it('forgets the oldest of the executions that have ended', async () => {
  const machine = await aStateMachine({ Only: aTask('only') }, { Only: async () => null }, { keepClosed: 1 });
  const first = await machine.run({}, 'first');
  await machine.run({}, 'second');
  const { executionArn } = first;
  const describe = new DescribeExecutionCommand({ executionArn });
  await expect(machine.client.send(describe)).rejects.toBeInstanceOf(ExecutionDoesNotExist);
});

it('refuses a document with a task that has no handler, and one that it would run otherwise than AWS', async () => {
  await expect(aStateMachine({ Only: aTask('only') })).rejects.toThrow('Only: there is no handler for it');
  const heartbeat = { Only: aTask('only', { HeartbeatSeconds: 5, End: true }) };
  await expect(aStateMachine(heartbeat, { Only: async () => null })).rejects.toThrow(/HeartbeatSeconds/);
  const lost = { Only: aTask('only', { Next: 'Nowhere' }) };
  await expect(aStateMachine(lost, { Only: async () => null })).rejects.toThrow(/invalid/);
});
