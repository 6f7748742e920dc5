import type { RetryRule } from './asl.ts';
import type { Reason } from './errors.ts';
import type { Moment } from './executions.ts';
import type { Job } from './job.ts';
import { errorOfCaught } from './outcome.ts';
import { latestNextTry, ruleFor } from './retry-rules.ts';

/** What a job did in one state, all visits in a row: a poll that waits and looks again is one event. Times: ISO 8601. */
export interface JobEvent {
  /** The state's name; `Requested` and `Finished` are the record's own. */
  readonly state: string;
  readonly from: string;
  /** Absent while it is there. */
  readonly to?: string;
  /** How often the state's work was begun, each try counted. */
  readonly tries: number;
  readonly failures: number;
  /** Why the last of the failures was one. */
  readonly failure?: Reason & { readonly at: string };
  /** It failed and is tried again by then, if the job is still there. */
  readonly nextTryBy?: string;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** A job's events out of its execution's history, oldest first, between what its record says of its start and end. */
export async function eventsOf(job: Job, history: AsyncIterable<Moment>): Promise<readonly JobEvent[]> {
  const events: Writable<JobEvent>[] = [];
  let failuresByRule = new Map<RetryRule | undefined, number>();
  for await (const { at, what, state = '', error = '', cause = '' } of history) {
    const last = events.at(-1);
    if (what === 'entered') {
      failuresByRule = new Map();
      if (last?.state === state) delete last.to;
      else events.push({ state, from: at, tries: 0, failures: 0 });
      continue;
    }
    if (last === undefined) continue;
    delete last.nextTryBy;
    if (what === 'left') last.to ??= at;
    if (what === 'begun') last.tries += 1;
    if (what !== 'failed') continue;
    const rule = ruleFor(job.machine, last.state, error);
    const count = (failuresByRule.get(rule) ?? 0) + 1;
    failuresByRule.set(rule, count);
    last.failures += 1;
    last.failure = { at, ...errorOfCaught({ Error: error, Cause: cause }) };
    if (rule && count <= rule.MaxAttempts) last.nextTryBy = latestNextTry(rule, count, at);
  }
  return [beginningOf(job), ...events, ...endOf(job)];
}

function beginningOf({ createdAt }: Job): JobEvent {
  return { state: 'Requested', from: createdAt, to: createdAt, tries: 1, failures: 0 };
}

function endOf({ finishedAt, error }: Job): JobEvent[] {
  if (finishedAt === undefined) return [];
  const failed = error && { failures: 1, failure: { at: finishedAt, ...error } };
  return [{ state: 'Finished', from: finishedAt, to: finishedAt, tries: 1, failures: 0, ...failed }];
}
