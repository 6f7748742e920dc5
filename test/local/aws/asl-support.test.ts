import { expect, it } from 'vitest';
import { unsupportedFeatures } from '../../../local/aws/asl-support.ts';
import { aCallback, aTask } from './machines.ts';

const machine = (state: object, more: object = {}) => ({ StartAt: 'Step', States: { Step: state }, ...more });

it('finds nothing in what runs the same here and in AWS', () => {
  const states = {
    Take: aTask('take', {
      Comment: 'first',
      Retry: [{ ErrorEquals: ['Busy'], IntervalSeconds: 2, MaxDelaySeconds: 60, JitterStrategy: 'FULL' }],
      Catch: [{ ErrorEquals: ['States.ALL'], ResultPath: '$.failure', Next: 'Done' }],
      ResultPath: '$.taken.by[0]',
      Next: 'Queue',
    }),
    Queue: aCallback({ ResultPath: null, Next: 'Wait' }),
    Wait: { Type: 'Wait', SecondsPath: '$.poll', Next: 'Look' },
    Look: {
      Type: 'Choice',
      Choices: [
        {
          And: [{ Variable: '$.a', IsPresent: true }, { Not: { Variable: '$.b', StringEquals: 'x' } }],
          Next: 'Done',
        },
      ],
      Default: 'Wait',
    },
    Done: { Type: 'Succeed' },
    Placeholder: {
      ...aTask('x'),
      // biome-ignore lint/suspicious/noTemplateCurlyInString: CloudFormation's placeholder
      Resource: '${TakeVmArn}',
      Parameters: { 'at.$': '$$.Execution.StartTime' },
    },
  };
  expect(unsupportedFeatures({ StartAt: 'Take', States: states, TimeoutSeconds: 1_209_600 })).toEqual([]);
});

it.each([
  ['JSONata', aTask('x', { QueryLanguage: 'JSONata', End: true }), /JSONata/],
  ['variables', aTask('x', { Assign: { a: 1 }, End: true }), /Assign is ignored/],
  ['JSONata arguments', aTask('x', { Arguments: {}, Output: {}, End: true }), /Output is ignored/],
  ['heartbeats', aTask('x', { HeartbeatSeconds: 5, End: true }), /HeartbeatSeconds is ignored/],
  ['a timeout by path', aTask('x', { TimeoutSecondsPath: '$.t', End: true }), /TimeoutSecondsPath/],
  ['a timeout longer than a timer', aTask('x', { TimeoutSeconds: 3_000_000, End: true }), /longest timer/],
  [
    'the state in the context',
    aTask('x', { Parameters: { 'n.$': '$$.State.Name' }, End: true }),
    /\$\$\.State\.Name/,
  ],
  [
    'a token outside a callback',
    aTask('x', { Parameters: { 'n.$': '$$.Task.Token' }, End: true }),
    /Task\.Token/,
  ],
  ['a callback without a token', { ...aCallback(), Parameters: { MessageBody: 'x' } }, /do not contain/],
  ['lambda:invoke', { ...aTask('x'), Resource: 'arn:aws:states:::lambda:invoke' }, /cannot be called/],
  [
    'plain sqs:sendMessage',
    { ...aTask('x'), Resource: 'arn:aws:states:::sqs:sendMessage' },
    /cannot be called/,
  ],
  ['an activity', { ...aTask('x'), Resource: 'arn:aws:states:us-east-1:1:activity:x' }, /cannot be called/],
  [
    'a caught runtime error',
    aTask('x', { Catch: [{ ErrorEquals: ['States.Runtime'], Next: 'Step' }], End: true }),
    /never happens/,
  ],
  [
    'variables in a Catch',
    aTask('x', { Catch: [{ ErrorEquals: ['A'], Next: 'Step', Assign: {} }], End: true }),
    /Assign of a Catch/,
  ],
  ['a bracketed result path', aTask('x', { ResultPath: "$['a']", End: true }), /not read as a path/],
  [
    'a distributed Map',
    {
      Type: 'Map',
      End: true,
      ItemReader: {},
      ToleratedFailureCount: 1,
      ItemProcessor: {
        ProcessorConfig: { Mode: 'DISTRIBUTED' },
        StartAt: 'A',
        States: { A: { Type: 'Pass', End: true } },
      },
    },
    /ItemReader[\s\S]*ToleratedFailureCount[\s\S]*distributed/,
  ],
  ['an intrinsic function in a Fail', { Type: 'Fail', CausePath: "States.Format('{}', $.a)" }, /CausePath/],
  [
    'an unknown comparison',
    { Type: 'Choice', Choices: [{ Variable: '$.a', StringLike: 'x', Next: 'Step' }] },
    /StringLike is never true/,
  ],
  ['an unknown type', { Type: 'Loop' }, /type Loop/],
])('finds %s', (_what, state, problem) => {
  expect(unsupportedFeatures(machine(state)).join('\n')).toMatch(problem);
});

it('finds a name that two states have, and what a whole machine asks for', () => {
  const branch = { StartAt: 'Step', States: { Step: { Type: 'Pass', End: true } } };
  const nested = machine({ Type: 'Parallel', Branches: [branch], End: true });
  expect(unsupportedFeatures(nested)).toEqual(['Step: two states have this name; handlers are found by it']);
  const whole = machine({ Type: 'Succeed' }, { QueryLanguage: 'JSONata', TimeoutSeconds: 31_536_000 });
  expect(unsupportedFeatures(whole)).toHaveLength(2);
});
