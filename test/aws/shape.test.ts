import type { HistoryEvent } from '@aws-sdk/client-sfn';
import { expect, it } from 'vitest';
import { eventsIn, visitsOf, withoutWaits } from './shape.ts';

const entered = (type: 'Task' | 'Wait', name: string): HistoryEvent => ({
  type: `${type}StateEntered`,
  stateEnteredEventDetails: { name },
  timestamp: undefined,
  id: undefined,
});
const event = (type: HistoryEvent['type'], more: Partial<HistoryEvent> = {}): HistoryEvent => ({
  type,
  timestamp: undefined,
  id: undefined,
  ...more,
});
const begun = [entered('Task', 'Poll'), event('LambdaFunctionScheduled'), event('LambdaFunctionStarted')];
const poll = [...begun, event('LambdaFunctionSucceeded'), event('TaskStateExited')];
const wait = [entered('Wait', 'Wait'), event('WaitStateExited')];

it('tells what was done in each state, with the names of errors', () => {
  const history = [
    event('ExecutionStarted', { executionStartedEventDetails: { input: '{}' } }),
    entered('Task', 'Poll'),
    event('LambdaFunctionFailed', { lambdaFunctionFailedEventDetails: { error: 'XapiBusy', cause: 'x' } }),
    event('ExecutionFailed', { executionFailedEventDetails: { error: 'JobNotSucceeded' } }),
  ];
  expect(visitsOf(history)).toEqual([
    { state: 'the execution', events: ['ExecutionStarted'] },
    { state: 'Poll', events: ['TaskStateEntered', 'LambdaFunctionFailed XapiBusy'] },
    { state: 'the execution', events: ['ExecutionFailed JobNotSucceeded'] },
  ]);
});

it('leaves out the waits, whatever their number', () => {
  const of = (rounds: number) => [
    ...poll,
    ...Array.from({ length: rounds }, () => [...wait, ...poll]).flat(),
    event('ExecutionSucceeded'),
  ];
  for (const rounds of [0, 1, 5]) expect(withoutWaits(visitsOf(of(rounds)))).toEqual(visitsOf(of(0)));
  expect(eventsIn(visitsOf(of(5)))).toBe(eventsIn(visitsOf(of(1))) + 4 * 7);
});

it('leaves them out also where the last look fails', () => {
  const fails = [...begun, event('LambdaFunctionFailed'), event('TaskStateExited')];
  expect(withoutWaits(visitsOf([...poll, ...wait, ...fails]))).toEqual(visitsOf(fails));
});

it('keeps a look that has another event, and what was done twice without a wait', () => {
  const odd = [...poll, event('LambdaFunctionStarted'), ...wait, ...poll];
  expect(withoutWaits(visitsOf(odd))).toEqual(visitsOf(odd));
  expect(withoutWaits(visitsOf([...poll, ...poll]))).toEqual(visitsOf([...poll, ...poll]));
});
