import { createHash } from 'node:crypto';
import type { Table } from './table.ts';

/**
 * What is counted: uploads at a time, `host#pool/uuid` or `sr#pool/uuid`; a project's schedules or open jobs,
 * `schedules#project` or `jobs#project`; executions that are still to be stopped, `executions#unstopped`.
 */
export type CounterKey = `${'host' | 'sr' | 'schedules' | 'jobs' | 'executions'}#${string}`;

/** A host's slots in the table, and the line in which jobs stand for them. */
export function hostGroup(pool: string, hostUuid: string): string {
  return `${pool}/${hostUuid}`;
}

/**
 * The line for a host and, where the SR has a limit of its own, for that SR: who waits for the SR stands in no way of
 * the host's other jobs.
 */
export function lineOf(pool: string, hostUuid: string, limitedSr?: string): string {
  return limitedSr === undefined ? hostGroup(pool, hostUuid) : `${hostGroup(pool, hostUuid)}/${limitedSr}`;
}

/** The host's group of a line. */
export function hostOfLine(line: string): string {
  return line.split('/', 2).join('/');
}

/** The slots of the host for which a line waits. */
export function slotsOfHost(line: string): CounterKey {
  return `host#${hostOfLine(line)}`;
}

export function slotsOfSr(pool: string, srUuid: string): CounterKey {
  return `sr#${pool}/${srUuid}`;
}

/** A line whose head has found no slot free. */
export interface Waiting {
  readonly line: string;
  /** By which the queue brings the head back. */
  readonly receipt: string;
  /** When the head joined its line, in milliseconds. */
  readonly since: number;
}

/**
 * Counting leases: the set of jobs that hold a slot of a host or an SR, with the lines that wait for one, and what counts
 * against a project's quotas.
 */
export class Counters {
  readonly #table: Table;

  constructor(table: Table) {
    this.#table = table;
  }

  /**
   * Takes a slot for the job, or finds that it has one. False when all `limit` are held by others.
   * @param line whose head the job is: it waits no longer, and is not to be woken in another's place
   */
  async take(counter: CounterKey, jobId: string, limit: number, line?: string): Promise<boolean> {
    const taken = await this.#table.change(counter, {
      add: { holders: new Set([jobId]) },
      ...(line !== undefined && { remove: [attributeOf(line)] }),
      when: 'attribute_not_exists(holders) OR size(holders) < :limit OR contains(holders, :job)',
      values: { limit, job: jobId },
    });
    return taken !== undefined;
  }

  /** Notes that a line waits for a slot. False, and nothing is noted, where one has come free meanwhile. */
  async wait(counter: CounterKey, waiting: Waiting, limit: number): Promise<boolean> {
    const noted = await this.#table.change(counter, {
      set: { [attributeOf(waiting.line)]: JSON.stringify(waiting) },
      when: 'NOT (attribute_not_exists(holders) OR size(holders) < :limit)',
      values: { limit },
    });
    return noted !== undefined;
  }

  /** Gives the job's slot back, if it has one. Answers the lines that wait for one, who has waited longest first. */
  async release(counter: CounterKey, jobId: string): Promise<readonly Waiting[]> {
    return waitingIn(await this.#table.change<Item>(counter, { take: { holders: new Set([jobId]) } }));
  }

  /**
   * The lines that wait for a slot, who has waited longest first.
   * @param limit where that many are held, nobody is named
   */
  async waiting(counter: CounterKey, limit = Number.POSITIVE_INFINITY): Promise<readonly Waiting[]> {
    const item = await this.#table.get<Item>(counter);
    return holdersIn(item).length < limit ? waitingIn(item) : [];
  }

  /** Notes a line no longer. Of several who would wake it for a slot each, one is told true. */
  async strike(counter: CounterKey, waiting: Waiting): Promise<boolean> {
    const name = attributeOf(waiting.line);
    const struck = await this.#table.change(counter, {
      remove: [name],
      when: `#${name} = :noted`,
      values: { noted: JSON.stringify(waiting) },
    });
    return struck !== undefined;
  }

  async holders(counter: CounterKey): Promise<readonly string[]> {
    return holdersIn(await this.#table.get<Item>(counter));
  }
}

type Item = Readonly<Record<string, unknown>>;

const LINE = 'line_';

/** An attribute for each line, so that lines are noted side by side. Its name may hold letters, digits and `_`. */
function attributeOf(line: string): string {
  return LINE + createHash('sha256').update(line).digest('hex').slice(0, 16);
}

function holdersIn(item: Item | undefined): readonly string[] {
  return [...((item?.holders as Set<string> | undefined) ?? [])];
}

/** The lines that wait, who has waited longest first. */
function waitingIn(item: Item | undefined): readonly Waiting[] {
  return Object.entries(item ?? {})
    .filter(([name]) => name.startsWith(LINE))
    .map(([, noted]): Waiting => JSON.parse(String(noted)))
    .sort((a, b) => a.since - b.since);
}
