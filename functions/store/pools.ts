import type { RememberedMembers } from '../../xapi/members.ts';
import type { Table } from './table.ts';

/** Failures in a row after which a pool's line is paused. */
const FAILURES_BEFORE_PAUSE = 3;

/** How a pool answers: its line is paused while it does not, instead of failing every job in it. */
export interface PoolHealth {
  readonly failures: number;
  readonly pausedUntil?: string;
  readonly reason?: string;
}

/** Health of each pool as the steps saw it, and where its members are as the pool itself said. */
export class Pools {
  readonly #table: Table;

  constructor(table: Table) {
    this.#table = table;
  }

  async health(pool: string): Promise<PoolHealth> {
    return (await this.#table.get<PoolHealth>(`pool#${pool}`)) ?? { failures: 0 };
  }

  /** What a session learned of the members, in whichever process. The reader checks what it is. */
  async members(pool: string): Promise<RememberedMembers | undefined> {
    return this.#table.get<RememberedMembers>(`members#${pool}`);
  }

  async keepMembers(name: string, { members, pool, master }: RememberedMembers): Promise<void> {
    await this.#table.change(`members#${name}`, { set: { members, pool, master } });
  }

  /** A step could not reach the pool. After the third time in a row its line waits until `pauseUntil`: true then. */
  async unreachable(pool: string, reason: string, pauseUntil: Date): Promise<boolean> {
    const health = await this.#table.change<PoolHealth>(`pool#${pool}`, {
      add: { failures: 1 },
      set: { reason },
    });
    if ((health?.failures ?? 0) < FAILURES_BEFORE_PAUSE) return false;
    await this.#table.change(`pool#${pool}`, { set: { pausedUntil: pauseUntil.toISOString() } });
    return true;
  }

  /** The pool answered: its line goes on. */
  async reached(pool: string): Promise<void> {
    if ((await this.health(pool)).failures === 0) return;
    await this.#table.change(`pool#${pool}`, { set: { failures: 0 }, remove: ['pausedUntil', 'reason'] });
  }
}
