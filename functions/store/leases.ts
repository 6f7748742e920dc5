import { XensnapError } from '../errors.ts';
import type { Table } from './table.ts';

/** Who has which VM, and which job a caller's key stands for. */
export class Leases {
  readonly #table: Table;

  constructor(table: Table) {
    this.#table = table;
  }

  /**
   * Takes the VM for a job, or finds that the job has it. Answers the id of the job that has it now.
   * @param forSeconds after which others may take it, for a holder that no job's record speaks of; for ever if left out
   */
  async takeVm(
    pool: string,
    vmUuid: string,
    jobId: string,
    now = new Date(0),
    forSeconds?: number,
  ): Promise<string> {
    const until =
      forSeconds === undefined ? undefined : new Date(now.getTime() + forSeconds * 1000).toISOString();
    return holderAfter(async () => {
      const taken = await this.#table.change<{ job: string }>(vmKey(pool, vmUuid), {
        set: { job: jobId, until },
        ...(until === undefined && { remove: ['until'] }),
        when: 'attribute_not_exists(id) OR #job = :job OR #until < :now',
        names: ['until'],
        values: { now: now.toISOString() },
      });
      return taken?.job ?? (await this.holderOfVm(pool, vmUuid));
    });
  }

  async holderOfVm(pool: string, vmUuid: string): Promise<string | undefined> {
    return (await this.#table.get<{ job: string }>(vmKey(pool, vmUuid)))?.job;
  }

  /** Gives the VM back, if this job has it. */
  async releaseVm(pool: string, vmUuid: string, jobId: string): Promise<void> {
    await this.#table.remove(vmKey(pool, vmUuid), 'job', jobId);
  }

  /** Binds a key that must not act twice to a job; answers the job that has it. Free again after `keepSeconds`. */
  async takeKey(name: string, jobId: string, now: Date, keepSeconds: number): Promise<string> {
    const seconds = Math.floor(now.getTime() / 1000);
    return holderAfter(async () => {
      const bound = await this.#table.change<{ job: string }>(keyKey(name), {
        set: { job: jobId, ttl: seconds + keepSeconds },
        // The table's own clean-up lags by days: an expired key is free at once.
        when: 'attribute_not_exists(id) OR #job = :job OR #ttl < :now',
        values: { now: seconds },
      });
      return bound?.job ?? (await this.jobOfKey(name, now));
    });
  }

  /** The job that a key is bound to. */
  async jobOfKey(name: string, now: Date): Promise<string | undefined> {
    const item = await this.#table.get<{ job: string; ttl: number }>(keyKey(name));
    return item && item.ttl >= Math.floor(now.getTime() / 1000) ? item.job : undefined;
  }

  /** Frees a key whose request came to nothing. */
  async releaseKey(name: string, jobId: string): Promise<void> {
    await this.#table.remove(keyKey(name), 'job', jobId);
  }
}

/** Tries to take what another may have given back between the refusal and the look at who has it. */
const MOST_TRIES = 50;

/** @throws ServiceUnavailable when each try is refused, and nobody is found to have it */
async function holderAfter(take: () => Promise<string | undefined>): Promise<string> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const holder = await take();
    if (holder !== undefined) return holder;
  }
  throw new XensnapError(
    'ServiceUnavailable',
    'A lease is taken and given back faster than it can be had. Ask again.',
  );
}

function vmKey(pool: string, vmUuid: string): string {
  return `vm#${pool}#${vmUuid}`;
}

function keyKey(name: string): string {
  return `key#${name}`;
}
