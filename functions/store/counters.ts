import type { Table } from './table.ts';

/**
 * What is counted: uploads at a time, `host#pool/uuid` or `sr#pool/uuid`; a project's schedules or open jobs,
 * `schedules#project` or `jobs#project`; executions that are still to be stopped, `executions#unstopped`.
 */
export type CounterKey = `${'host' | 'sr' | 'schedules' | 'jobs' | 'executions'}#${string}`;

/** A host's line in the queue, and the name of its slots. */
export function hostGroup(pool: string, hostUuid: string): string {
  return `${pool}/${hostUuid}`;
}

/** The slots of a host, by {@link hostGroup}. */
export function slotsOfHost(group: string): CounterKey {
  return `host#${group}`;
}

export function slotsOfSr(pool: string, srUuid: string): CounterKey {
  return `sr#${pool}/${srUuid}`;
}

/** Counting leases: the set of jobs that hold a slot of a host or an SR, and what counts against a project's quotas. */
export class Counters {
  readonly #table: Table;

  constructor(table: Table) {
    this.#table = table;
  }

  /** Takes a slot for the job, or finds that it has one. False when all `limit` are held by others. */
  async take(counter: CounterKey, jobId: string, limit: number): Promise<boolean> {
    const taken = await this.#table.change(counter, {
      add: { holders: new Set([jobId]) },
      when: 'attribute_not_exists(holders) OR size(holders) < :limit OR contains(holders, :job)',
      values: { limit, job: jobId },
    });
    return taken !== undefined;
  }

  /** Gives the job's slot back, if it has one. */
  async release(counter: CounterKey, jobId: string): Promise<void> {
    await this.#table.change(counter, { take: { holders: new Set([jobId]) } });
  }

  async holders(counter: CounterKey): Promise<readonly string[]> {
    const item = await this.#table.get<{ holders?: Set<string> }>(counter);
    return [...(item?.holders ?? [])];
  }
}
