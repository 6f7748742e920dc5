import { GetExecutionHistoryCommand } from '@aws-sdk/client-sfn';
import { expect, it } from 'vitest';
import { localClock } from '../../../local/clock.ts';
import { aStateMachine, aTask, named } from './machines.ts';

const catchAll = [{ ErrorEquals: ['States.ALL'], ResultPath: '$.failure', Next: 'Clean' }];
const failsAfterCleaning = {
  Clean: aTask('clean', { ResultPath: null, Next: 'Fail' }),
  Fail: { Type: 'Fail', ErrorPath: '$.failure.Error', CausePath: '$.failure.Cause' },
};

it('retries by the name of the error, in the time of the clock', async () => {
  const seen: string[] = [];
  const retry = [
    { ErrorEquals: ['Busy'], IntervalSeconds: 60, MaxAttempts: 3, BackoffRate: 2, MaxDelaySeconds: 100 },
    { ErrorEquals: ['Odd'], IntervalSeconds: 30, MaxAttempts: 1, JitterStrategy: 'FULL' },
  ];
  const machine = await aStateMachine(
    { Try: aTask('try', { Retry: retry, End: true }) },
    {
      Try: async () => {
        const name = ['Busy', 'Odd', 'Busy', 'Busy'][seen.length];
        seen.push(name ?? 'fine');
        if (name) throw named(name);
        return 'done';
      },
    },
  );
  const started = performance.now();
  expect((await machine.run()).result).toBe('done');
  expect(seen).toEqual(['Busy', 'Odd', 'Busy', 'Busy', 'fine']);
  // 60 + 100 + 100 seconds and some jitter, a thousand times as fast.
  expect(performance.now() - started).toBeGreaterThan(255);
});

it('gives up an error that no retrier names', async () => {
  const retry = [{ ErrorEquals: ['Busy'], IntervalSeconds: 1 }];
  const machine = await aStateMachine(
    { Try: aTask('try', { Retry: retry, End: true }) },
    { Try: () => Promise.reject(named('Broken', 'for good')) },
  );
  const done = await machine.run();
  expect(done).toMatchObject({ status: 'FAILED', error: 'Broken' });
  expect(JSON.parse(done.cause ?? '')).toMatchObject({ errorType: 'Broken', errorMessage: 'for good' });
});

it("hands a Lambda's error to Catch as its name and Lambda's JSON, beside the input", async () => {
  const seen: unknown[] = [];
  const machine = await aStateMachine(
    { Try: aTask('try', { Catch: catchAll, Next: 'Clean' }), ...failsAfterCleaning },
    {
      Try: () => Promise.reject(named('PluginError', 'no space')),
      Clean: async (input) => seen.push(input),
    },
  );
  expect(await machine.run({ vm: 'x' })).toMatchObject({ status: 'FAILED', error: 'PluginError' });
  expect(seen).toEqual([{ vm: 'x', failure: { Error: 'PluginError', Cause: expect.any(String) } }]);
  const [{ failure }] = seen as [{ failure: { Cause: string } }];
  const cause = JSON.parse(failure.Cause);
  expect(cause).toEqual({ errorType: 'PluginError', errorMessage: 'no space', trace: expect.any(Array) });
  expect(cause.trace[0]).toMatch(/no space/);
});

it('waits by a path, in the time of the clock', async () => {
  const machine = await aStateMachine(
    {
      Wait: { Type: 'Wait', SecondsPath: '$.poll.seconds', Next: 'Look' },
      Look: aTask('look', {
        Parameters: { 'since.$': '$$.Execution.StartTime', 'poll.$': '$.poll' },
        End: true,
      }),
    },
    { Look: async (input) => input },
    { clock: localClock(100_000) },
  );
  const done = await machine.run({ poll: { seconds: 9000 } });
  const took = Number(done.stopDate?.getTime()) - Number(done.startDate?.getTime());
  expect(took).toBeGreaterThanOrEqual(9_000_000 - 200_000);
  expect(done.result.poll).toEqual({ seconds: 9000 });
  expect(Math.abs(Date.parse(done.result.since) - Number(done.startDate?.getTime()))).toBeLessThan(1000);
});

it('waits until a time of the clock', async () => {
  const clock = localClock(100_000);
  const machine = await aStateMachine(
    { Wait: { Type: 'Wait', TimestampPath: '$.until', End: true } },
    {},
    { clock },
  );
  const until = new Date(clock.now().getTime() + 20_000_000).toISOString();
  const done = await machine.run({ until });
  expect(done.status).toBe('SUCCEEDED');
  expect(clock.now().getTime()).toBeGreaterThanOrEqual(Date.parse(until) - 200_000);
});

it('fails past any Catch when a path leads nowhere or a wait is no whole number', async () => {
  const states = { Wait: { Type: 'Wait', SecondsPath: '$.seconds', End: true } };
  const machine = await aStateMachine(states);
  for (const input of [{}, { seconds: 1.5 }, { seconds: 'soon' }])
    expect(await machine.run(input)).toMatchObject({ status: 'FAILED', error: 'States.Runtime' });
});

it('takes the length of a wait from its override', async () => {
  const states = { Wait: { Type: 'Wait', Seconds: 86_400, End: true } };
  const machine = await aStateMachine(states, {}, { clock: localClock(), waitSeconds: { Wait: 0 } });
  expect((await machine.run()).status).toBe('SUCCEEDED');
});

it("times a task out as States.Timeout, which is no States.TaskFailed, and forgets its handler's late answer", async () => {
  const gate = Promise.withResolvers<void>();
  const states = {
    Slow: aTask('slow', {
      TimeoutSeconds: 100,
      Catch: [{ ErrorEquals: ['States.TaskFailed'], Next: 'Wrong' }, ...catchAll],
      Next: 'Wrong',
    }),
    Wrong: { Type: 'Succeed' },
    ...failsAfterCleaning,
  };
  const machine = await aStateMachine(states, {
    Slow: () => gate.promise,
    Clean: async () => gate.resolve(),
  });
  const done = await machine.run();
  expect(done).toMatchObject({ status: 'FAILED', error: 'States.Timeout' });
  const { executionArn } = done;
  const { events = [] } = await machine.client.send(new GetExecutionHistoryCommand({ executionArn }));
  expect(events.filter(({ type }) => type?.startsWith('Lambda')).map(({ type }) => type)).toEqual([
    'LambdaFunctionScheduled',
    'LambdaFunctionStarted',
    'LambdaFunctionTimedOut',
    'LambdaFunctionScheduled',
    'LambdaFunctionStarted',
    'LambdaFunctionSucceeded',
  ]);
});

it('lets tasks time out in real time when told to', async () => {
  const machine = await aStateMachine(
    { Slow: aTask('slow', { TimeoutSeconds: 100, End: true }) },
    { Slow: () => localClock().sleep(0.2) },
    { timeoutSpeed: 1 },
  );
  expect((await machine.run()).status).toBe('SUCCEEDED');
});

it('times the whole execution out without a Catch', async () => {
  const states = { Slow: aTask('slow', { Catch: catchAll, Next: 'Clean' }), ...failsAfterCleaning };
  let cleaned = false;
  const machine = await aStateMachine(
    states,
    {
      Slow: (_input, stopping) => new Promise((resolve) => stopping.addEventListener('abort', resolve)),
      Clean: async () => {
        cleaned = true;
      },
    },
    { machine: { TimeoutSeconds: 50 } },
  );
  const done = await machine.run();
  expect(done.status).toBe('TIMED_OUT');
  expect(machine.changes.at(-1)?.detail.status).toBe('TIMED_OUT');
  expect(cleaned).toBe(false);
});

it('fails past any Catch and Retry when a payload is too large', async () => {
  const much = 'x'.repeat(200_000);
  const handling = { Retry: [{ ErrorEquals: ['States.ALL'] }], Catch: catchAll };
  const called: string[] = [];
  const machine = await aStateMachine(
    {
      Grow: aTask('grow', { ...handling, ResultPath: '$.more', Next: 'Clean' }),
      ...failsAfterCleaning,
      Clean: aTask('clean', { Parameters: {}, ResultPath: null, Next: 'Fail' }),
    },
    {
      Grow: async (input) => {
        called.push('Grow');
        return much.repeat((input as { times: number }).times);
      },
      Clean: async () => called.push('Clean'),
    },
  );
  for (const input of [{ times: 2 }, { times: 1, before: 'x'.repeat(100_000) }])
    expect(await machine.run(input)).toMatchObject({ status: 'FAILED', error: 'States.DataLimitExceeded' });
  expect(called).toEqual(['Grow', 'Grow']);
});

it('leaves out the error and the cause of a Fail state that has none', async () => {
  const machine = await aStateMachine({ Stop: { Type: 'Fail' } });
  const done = await machine.run();
  expect(done.status).toBe('FAILED');
  expect(done.error).toBeUndefined();
  expect(done.cause).toBeUndefined();
});

it('takes the branch that a Choice finds, and a ResultPath of "$" for the whole', async () => {
  const states = {
    Look: aTask('look', { ResultPath: '$', Next: 'Done?' }),
    'Done?': {
      Type: 'Choice',
      Choices: [
        {
          And: [
            { Variable: '$.done', IsPresent: true },
            { Variable: '$.done', BooleanEquals: true },
          ],
          Next: 'Yes',
        },
      ],
      Default: 'Pause',
    },
    Pause: { Type: 'Wait', Seconds: 10, Next: 'Look' },
    Yes: { Type: 'Succeed' },
  };
  let looks = 0;
  const machine = await aStateMachine(states, {
    Look: async () => {
      looks += 1;
      return looks < 3 ? {} : { done: true };
    },
  });
  expect((await machine.run()).result).toEqual({ done: true });
});

it('runs branches and items, each with its own handlers', async () => {
  const inner = (name: string) => ({ StartAt: name, States: { [name]: aTask(name) } });
  const machine = await aStateMachine(
    {
      Both: {
        Type: 'Parallel',
        Branches: [inner('Left'), inner('Right')],
        ResultPath: '$.both',
        Next: 'Each',
      },
      Each: {
        Type: 'Map',
        ItemsPath: '$.items',
        ItemProcessor: inner('One'),
        ResultPath: '$.each',
        End: true,
      },
    },
    {
      Left: async () => 'left',
      Right: async () => 'right',
      One: async (input) => Number(input) * 2,
    },
  );
  expect((await machine.run({ items: [1, 2, 3] })).result).toEqual({
    items: [1, 2, 3],
    both: ['left', 'right'],
    each: [2, 4, 6],
  });
});
