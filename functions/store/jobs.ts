import type { CertainFact, FactName, FinalStatus } from '../../statemachine/contract.ts';
import { type Reason, XensnapError } from '../errors.ts';
import {
  type Facts,
  isSnapshot,
  type Job,
  type RestoreJob,
  type Retrying,
  type SnapshotJob,
} from '../job.ts';
import { WARNING_FOR_OPERATORS } from '../told.ts';
import type { Debt, JobStatus, Reached } from '../words.ts';
import { both, type Change } from './expression.ts';
import {
  indexOf,
  type JobItem,
  type JobList,
  jobKey,
  jobOf,
  newItem,
  type SnapshotList,
} from './job-item.ts';
import { everyItem, type Page, type PageOptions, type Table } from './table.ts';

/** Values for some of these facts, and nothing else of a job. What is `undefined` stays as it is. */
export type JobFacts<F extends FactName> = { readonly [K in F]?: Facts[K] | undefined } & {
  readonly [K in Exclude<keyof SnapshotJob | keyof RestoreJob, F>]?: never;
};

/** What a run of a step has begun with, and on whose record it stands. */
interface Fence {
  readonly jobId: string;
  readonly fence: string;
}

/** A job may be worked on: it is there, not closing and has no outcome. */
const ALIVE = 'attribute_exists(id) AND attribute_not_exists(closing) AND attribute_not_exists(finishedAt)';

/**
 * The job records. Every method is one conditional write; `undefined` and `false` say that its condition failed.
 * @typeParam F the facts that its holder may write: none unless said, a step's own in a step
 */
export class Jobs<in F extends FactName = never> {
  readonly #table: Table;
  readonly #fenced: Fence | undefined;

  constructor(table: Table, fenced?: Fence) {
    this.#table = table;
    this.#fenced = fenced;
  }

  /**
   * The records for one run of a step, which has begun with this fence: once another run of a step of its job has begun,
   * every write to that job's record throws ServiceUnavailable and changes nothing.
   */
  behind(fenced: Fence): Jobs<F> {
    return new Jobs(this.#table, fenced);
  }

  async get(jobId: string): Promise<Job | undefined> {
    return jobOf(await this.#table.get<JobItem>(jobKey(jobId)));
  }

  /** The snapshot of that id; undefined where it is another job. */
  async snapshot(jobId: string): Promise<SnapshotJob | undefined> {
    const job = await this.get(jobId);
    return job && isSnapshot(job) ? job : undefined;
  }

  /** The restore of that id; undefined where it is another job. */
  async restore(jobId: string): Promise<RestoreJob | undefined> {
    const job = await this.get(jobId);
    return job && !isSnapshot(job) ? job : undefined;
  }

  /** Writes the new job, `starting` and open. False when the id is taken. */
  create(job: Job): Promise<boolean> {
    return this.#table.create(newItem(job));
  }

  /**
   * A forward step starts: only for a job that is alive. `until` is when its Lambda has surely ended; `fence` keeps out
   * whatever ran before.
   */
  async begin(
    jobId: string,
    phase: Job['phase'],
    status: JobStatus,
    until: Date,
    fence?: string,
  ): Promise<Job | undefined> {
    return this.#change(jobId, {
      set: { phase, status, stepUntil: until.toISOString(), fence },
      when: ALIVE,
    });
  }

  /** A step of the cleanup line starts: for every job that is there. `failure` is what has led there, if a failure has. */
  async beginCleanup(
    jobId: string,
    phase: Job['phase'],
    until: Date,
    { fence, failure }: { fence?: string; failure?: Reason | undefined } = {},
  ): Promise<Job | undefined> {
    return this.#change(jobId, {
      set: { phase, stepUntil: until.toISOString(), fence, failure },
      when: 'attribute_exists(id)',
    });
  }

  /** A step has ended, having made so many xapi calls: well, for good, or to be tried again for the reason given. */
  async end(jobId: string, xapiCalls: number, retrying?: Retrying): Promise<void> {
    await this.#change(jobId, {
      set: { retrying },
      remove: ['stepUntil', ...(retrying ? [] : ['retrying'])],
      add: { xapiCalls, stepRuns: 1 },
      when: 'attribute_exists(id)',
    });
  }

  /** Puts facts on record; without any it only looks, since an update must change something. */
  async record(
    jobId: string,
    facts: JobFacts<F>,
    forget: readonly Exclude<F, CertainFact>[] = [],
  ): Promise<Job | undefined> {
    if (forget.length === 0 && Object.values(facts).every((fact) => fact === undefined))
      return this.get(jobId);
    return this.#change(jobId, { set: facts, remove: forget, when: 'attribute_exists(id)' });
  }

  /** Puts a debt on record before the effect that makes it; undefined when the job is not alive: then don't. */
  async owe(jobId: string, debt: Debt, facts: JobFacts<F> = {}): Promise<Job | undefined> {
    return this.#change(jobId, { set: facts, add: { debts: new Set([debt]) }, when: ALIVE });
  }

  /** Strikes a debt, once it is proved paid. */
  async pay(jobId: string, debt: Debt, facts: JobFacts<F> = {}): Promise<Job | undefined> {
    return this.#change(jobId, {
      set: facts,
      take: { debts: new Set([debt]) },
      when: 'attribute_exists(id)',
    });
  }

  /** Claims the moment at which the snapshot call goes out; false when it went out before. */
  async sendSnapshot(this: Jobs<'snapshotSentAt'>, jobId: string, now: Date): Promise<boolean> {
    const sent = { snapshotSentAt: now.toISOString() };
    const when = `${ALIVE} AND attribute_not_exists(snapshotSentAt)`;
    return (await this.#change(jobId, { set: sent, when })) !== undefined;
  }

  /** The commit point: from here on the job succeeds and its image stays. Undefined when the job is being undone. */
  async commit(jobId: string, now: Date, imageOwner?: string | null): Promise<Job | undefined> {
    return this.#change(jobId, {
      set: { committed: true, verifiedAt: now.toISOString(), imageOwner },
      take: { debts: new Set(['image']) },
      when: `${ALIVE} AND attribute_not_exists(discarding)`,
    });
  }

  /** The commit point of a restore: from here on it succeeds, and what it has made stays. */
  async commitRestore(jobId: string): Promise<Job | undefined> {
    return this.#change(jobId, {
      set: { committed: true },
      take: { debts: new Set(['disk', 'vm']) },
      when: ALIVE,
    });
  }

  /**
   * A restore into a VM is to be undone, which opens it again. Undefined where it is not committed, not over, undone, or
   * where the disk that was kept is gone.
   */
  async undo(jobId: string): Promise<Job | undefined> {
    return this.#change(jobId, {
      set: { undoing: true, open: 'open' },
      // Of what the restore has sent nothing is on its way any more.
      remove: ['swapSentAt'],
      add: { debts: new Set(['swap']) },
      when: 'attribute_exists(committed) AND attribute_exists(finishedAt) AND attribute_not_exists(#open) AND attribute_not_exists(undoneAt) AND attribute_not_exists(keptGoneAt)',
    });
  }

  /** The undo is done, or, without a time, given up with nothing done. */
  async endUndo(jobId: string, at: Date | undefined): Promise<Job | undefined> {
    return this.#change(jobId, {
      set: { undoneAt: at?.toISOString() },
      remove: ['undoing', 'swapSentAt'],
      take: { debts: new Set(['swap']) },
      when: 'attribute_exists(id)',
    });
  }

  /** Notes when the disk which a restore has kept may have begun to go, or, without a time, that it has not. */
  async noteKeptGoing(jobId: string, at: Date | undefined): Promise<Job | undefined> {
    return this.#change(jobId, {
      set: { keptGoingAt: at?.toISOString() },
      ...(at === undefined && { remove: ['keptGoingAt'] }),
      when: 'attribute_exists(id) AND attribute_exists(committed)',
    });
  }

  /** Notes that the disk which a restore has kept is gone. */
  async noteKeptGone(jobId: string, at: Date): Promise<Job | undefined> {
    return this.#change(jobId, {
      set: { keptGoneAt: at.toISOString() },
      when: 'attribute_exists(id) AND attribute_exists(committed)',
    });
  }

  /** The commit point of a test: it has proved that. What it has made goes all the same. */
  async commitTest(jobId: string, proof: { reached: Reached; provenAt: Date }): Promise<Job | undefined> {
    const { reached, provenAt } = proof;
    return this.#change(jobId, {
      set: { committed: true, reached, provenAt: provenAt.toISOString() },
      when: ALIVE,
    });
  }

  /** Notes since when a verified image is gone, or, without a time, that it is there. */
  async noteImage(jobId: string, goneAt: string | undefined): Promise<Job | undefined> {
    return this.#change(jobId, {
      ...(goneAt === undefined ? { remove: ['imageGoneAt'] } : { set: { imageGoneAt: goneAt } }),
      when: 'attribute_exists(id) AND attribute_exists(committed)',
    });
  }

  /** Decides that the image goes. False when it is committed. */
  async discard(jobId: string): Promise<boolean> {
    const when = 'attribute_exists(id) AND attribute_not_exists(committed)';
    return (await this.#change(jobId, { set: { discarding: true, closing: true }, when })) !== undefined;
  }

  /** From here on only the cleanup has effects. */
  async close(jobId: string): Promise<Job | undefined> {
    return this.#change(jobId, { set: { closing: true }, when: 'attribute_exists(id)' });
  }

  /**
   * A caller cancels it. Undefined when it is too late: it is committed, or over.
   * @param by who; of several the first stays on record
   */
  async cancel(jobId: string, by?: string): Promise<Job | undefined> {
    const set = { closing: true, cancelRequested: true };
    const when =
      'attribute_exists(id) AND attribute_not_exists(committed) AND attribute_not_exists(finishedAt)';
    const first = `${when} AND attribute_not_exists(cancelRequested)`;
    return (
      (await this.#change(jobId, { set: { ...set, cancelledBy: by }, when: first })) ??
      this.#change(jobId, { set, when })
    );
  }

  /**
   * Tells the outcome, once; undefined when it has been told.
   * @param options.onlyInPhase undefined, too, where another phase has begun
   */
  async finish(
    jobId: string,
    outcome: { status: FinalStatus; error?: Reason; finishedAt: Date; ttl: number },
    { onlyInPhase }: { onlyInPhase?: Job['phase'] } = {},
  ): Promise<Job | undefined> {
    const { status, error, ttl } = outcome;
    const untold = 'attribute_exists(id) AND attribute_not_exists(finishedAt)';
    return this.#change(jobId, {
      set: { status, error, ttl, finishedAt: outcome.finishedAt.toISOString(), closing: true },
      ...(onlyInPhase === undefined
        ? { when: untold }
        : { when: `${untold} AND #phase = :phase`, names: ['phase'], values: { phase: onlyInPhase } }),
    });
  }

  /**
   * Adds a warning, once, however often the step that has it is repeated.
   * @param forAll the same without what only operators may know, for the callers of a project
   */
  async warn(jobId: string, warning: string, forAll = WARNING_FOR_OPERATORS): Promise<void> {
    await this.#change(jobId, {
      append: { warnings: [warning], warningsForAll: [forAll] },
      when: 'attribute_exists(id) AND (attribute_not_exists(warnings) OR NOT contains(warnings, :warning))',
      values: { warning },
    });
  }

  /** Takes the job for one reconciler. Undefined when another has it. */
  async claim(jobId: string, by: string, now: Date, until: Date): Promise<Job | undefined> {
    return this.#change(jobId, {
      set: { claimedBy: by, claimedUntil: until.toISOString() },
      when: 'attribute_exists(id) AND (attribute_not_exists(claimedUntil) OR #claimedUntil < :now OR #claimedBy = :claimedBy)',
      values: { now: now.toISOString() },
    });
  }

  async unclaim(jobId: string, by: string): Promise<void> {
    await this.#change(jobId, {
      remove: ['claimedBy', 'claimedUntil'],
      when: '#claimedBy = :by',
      values: { by },
    });
  }

  /** Notes why what is owed could not be paid. */
  async noteOwing(jobId: string, owesBecause: string): Promise<void> {
    await this.#change(jobId, { set: { owesBecause }, when: 'attribute_exists(id)' });
  }

  /** Nothing is owed and the lease is back: the janitor need not look any more. */
  async settle(jobId: string): Promise<void> {
    await this.#change(jobId, {
      remove: ['open', 'owesBecause'],
      when: 'attribute_exists(id) AND attribute_not_exists(debts) AND attribute_exists(finishedAt)',
    });
  }

  /**
   * Puts the job in a host's line, with a new ticket.
   * @param options.first only where it stands in none; undefined then, too
   */
  async queue(
    this: Jobs<'group' | 'ticket'>,
    jobId: string,
    place: { group: string; ticket: string },
    facts: JobFacts<F> = {},
    { first = false } = {},
  ): Promise<Job | undefined> {
    return this.#change(jobId, {
      set: { ...facts, ...place, ticketState: 'waiting', phase: 'QueueForHost' },
      add: { debts: new Set(['slot']) },
      when: first ? `${ALIVE} AND attribute_not_exists(ticket)` : ALIVE,
    });
  }

  /** The ticket is granted, or was before. Undefined when the job is over or has another ticket. */
  async grant(jobId: string, ticket: string): Promise<Job | undefined> {
    return this.#change(jobId, {
      set: { ticketState: 'granted' },
      when: `${ALIVE} AND #ticket = :ticket`,
      names: ['ticket'],
      values: { ticket },
    });
  }

  /** A page of snapshots, the newest first unless said; see {@link PageOptions}. It may have fewer than there are. */
  async list(of: SnapshotList, options: PageOptions = {}): Promise<Page<SnapshotJob>> {
    let page = await this.#page(of, options);
    // A page without items is the last one.
    while (page.next && !page.items.some(isSnapshot))
      page = await this.#page(of, { ...options, after: page.next });
    return { ...page, items: page.items.filter(isSnapshot) };
  }

  /** A page of restores, as {@link list} has them of snapshots. */
  async listRestores(options: PageOptions = {}): Promise<Page<RestoreJob>> {
    const page = await this.#page('restores', options);
    // That index has no others.
    return { ...page, items: page.items.filter((job) => !isSnapshot(job)) };
  }

  /** Every snapshot of a list, page by page. */
  async *each(
    of: SnapshotList,
    options: Omit<PageOptions, 'limit' | 'after'> = {},
  ): AsyncGenerator<SnapshotJob> {
    for await (const job of this.#every(of, options)) if (isSnapshot(job)) yield job;
  }

  /** Every job that is not settled yet. */
  open(): AsyncGenerator<Job> {
    return this.#every('open');
  }

  /** A page of those that are not settled yet, the newest first. */
  openPage(options: PageOptions = {}): Promise<Page<Job>> {
    return this.#page('open', options);
  }

  async #page(of: JobList, options: PageOptions): Promise<Page<Job>> {
    const page = await this.#table.query<JobItem>(...indexOf(of), options);
    return { ...page, items: page.items.flatMap((item) => jobOf(item) ?? []) };
  }

  async *#every(of: JobList, options: Omit<PageOptions, 'limit' | 'after'> = {}): AsyncGenerator<Job> {
    for await (const item of everyItem<JobItem>(this.#table, ...indexOf(of), options)) {
      const job = jobOf(item);
      if (job) yield job;
    }
  }

  /** How many jobs are not settled yet. */
  countOpen(): Promise<number> {
    return this.#table.count(...indexOf('open'));
  }

  async #change(jobId: string, change: Change & { when: string }): Promise<Job | undefined> {
    const fence = this.#fenced?.jobId === jobId ? this.#fenced.fence : undefined;
    const guarded = fence === undefined ? change : fenced(change, fence);
    const changed = jobOf(await this.#table.change<JobItem>(jobKey(jobId), guarded));
    if (changed || fence === undefined) return changed;
    const now = await this.get(jobId);
    if (now && now.fence !== fence)
      throw new XensnapError(
        'ServiceUnavailable',
        'Another run of a step of this job has begun since: this one has no effect any more.',
      );
    return undefined;
  }
}

function fenced(change: Change & { when: string }, fence: string): Change {
  return {
    ...change,
    when: both(change.when, '#fence = :fence'),
    names: [...(change.names ?? []), 'fence'],
    values: { ...change.values, fence },
  };
}
