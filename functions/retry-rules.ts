import { shorten } from '../glance/shorten.ts';
import type { MachineName, StepName } from '../statemachine/contract.ts';
import { type RetryRule, stateOf } from './asl.ts';
import { documented } from './errors.ts';
import type { Job, Retrying } from './job.ts';

/** The first rule that matches, as Step Functions has it: `States.TaskFailed` stands for all but a timeout. */
export function ruleFor(machine: MachineName, state: string, error: string): RetryRule | undefined {
  return stateOf(machine, state).Retry?.find(
    ({ ErrorEquals }) =>
      ErrorEquals.includes(error) ||
      (error !== 'States.Timeout' && ErrorEquals.includes('States.TaskFailed')),
  );
}

/** When the next try begins at the latest after so many failures, the last of them at that time: jitter makes it sooner. */
export function latestNextTry(rule: RetryRule, failures: number, failedAt: string): string {
  const seconds = Math.min(rule.IntervalSeconds * rule.BackoffRate ** (failures - 1), rule.MaxDelaySeconds);
  return new Date(Date.parse(failedAt) + seconds * 1000).toISOString();
}

/** The longest text of a reason that is kept with each failed try. */
const REASON_CHARACTERS = 500;

/** What is on record until the next try, where the state machine makes one. */
export function retryingAfter(
  state: StepName,
  { name, message }: Error,
  { machine, retrying: before }: Job,
  now: Date,
): Retrying | undefined {
  const rule = ruleFor(machine, state, name);
  if (!rule) return undefined;
  const at = now.toISOString();
  const { failures: earlier, since } = before?.state === state ? before : { failures: 0, since: at };
  const failures = earlier + 1;
  const reason = documented({ name, message: shorten(message, REASON_CHARACTERS) });
  return { ...reason, state, failures, since, at, nextTryBy: latestNextTry(rule, failures, at) };
}
