import type { Reason } from '../errors.ts';
import { isLate } from './nominal-time.ts';
import type { Run } from './run.ts';

/** So many of a pool's runs find it away before the others are not asked for any more. */
const ENOUGH = 3;
/** Each costs as long as a call may take. One VM that is busy says nothing of the others. */
const AWAY: readonly string[] = ['PoolUnreachable', 'XapiReplyLost'];

/** What one look at the schedules was refused, and need not ask for again: the next look does. */
export class Refusals {
  /** Projects that have as many jobs as they may. */
  readonly #full = new Set<string | undefined>();
  readonly #away = new Map<string | undefined, Reason[]>();

  note({ project, pool, test }: Run, reason: Reason): void {
    if (reason.name === 'QuotaExceeded') this.#full.add(project);
    // A test need not be in the pool where its VM was.
    if (!test && AWAY.includes(reason.name))
      this.#away.set(pool, [...(this.#away.get(pool) ?? []), reason].slice(-ENOUGH));
  }

  /** Whether a run waits for its project's other jobs: unless its time is over, of which it is to be told. */
  mustWait(run: Run, now: Date): boolean {
    return this.#full.has(run.project) && !isLate(run, now);
  }

  /** Why the pool of a run is not asked any more; undefined while it is. */
  poolOf({ pool, test }: Run): Reason | undefined {
    return test ? undefined : this.#away.get(pool)?.[ENOUGH - 1];
  }
}
