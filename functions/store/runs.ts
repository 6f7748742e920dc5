import type { Reason } from '../errors.ts';
import type { Run, RunOutcome } from '../schedules/run.ts';
import { everyItem, type Table } from './table.ts';

/** Runs that have no outcome yet, in the index of what is open: those whose job is still to be asked for, and the others. */
const OPEN = 'run';
const BEGUN = 'run-begun';
/** All runs of the UTC day of their nominal time, in the index of kinds. */
const kindOf = (date: string) => `run#${date}`;

/**
 * The key of a run: one VM, or the whole schedule where no VM can be named. A test's is its number, so that whoever comes
 * second finds it whichever VM he would have chosen.
 */
export type RunKey = Pick<Run, 'scheduleId' | 'nominal' | 'pool' | 'vmUuid' | 'test'>;

const key = ({ scheduleId, nominal, pool = '', vmUuid = '', test }: RunKey) =>
  `run#${scheduleId}#${nominal}#${test ? `test/${test.slot}` : `${pool}/${vmUuid}`}`;

/** The runs of the schedules. Every method is one conditional write; `undefined` and `false` say that its condition failed. */
export class Runs {
  readonly #table: Table;

  constructor(table: Table) {
    this.#table = table;
  }

  get(run: RunKey): Promise<Run | undefined> {
    return this.#table.get<Run>(key(run));
  }

  /** Puts a run on record, open unless it has an outcome. False when it was there before. `ttl` in seconds since 1970. */
  create(run: Run, ttl: number): Promise<boolean> {
    return this.#table.create({
      ...run,
      id: key(run),
      kind: kindOf(run.nominal.slice(0, 10)),
      createdAt: run.nominal,
      ...(run.outcome === undefined && { open: OPEN }),
      ttl,
    });
  }

  /** Notes why the job could not be asked for this time. */
  async trouble(run: Run, problem: Reason): Promise<void> {
    await this.#table.change(key(run), {
      set: { problem },
      when: 'attribute_exists(id) AND attribute_not_exists(outcome)',
    });
  }

  /** Gives an open run another job in the place of one that came to nothing. Undefined when it has another already. */
  async retry(run: Run, jobId: string, problem: Reason): Promise<Run | undefined> {
    return this.#table.change<Run>(key(run), {
      set: { jobId, problem, open: OPEN },
      when: 'attribute_not_exists(outcome) AND #jobId = :old',
      values: { old: run.jobId },
    });
  }

  /** Tells the outcome of a run, or of the run's job `jobId`, once; undefined when it has been told. */
  async finish(
    run: RunKey,
    jobId: string | undefined,
    { outcome, reason, finishedAt }: { outcome: RunOutcome; reason?: Reason | undefined; finishedAt: Date },
  ): Promise<Run | undefined> {
    const told = 'attribute_exists(id) AND attribute_not_exists(outcome)';
    return this.#table.change<Run>(key(run), {
      set: { outcome, reason, finishedAt: finishedAt.toISOString() },
      remove: ['open', 'problem'],
      ...(jobId === undefined
        ? { when: told }
        : { when: `${told} AND #jobId = :job`, names: ['jobId'], values: { job: jobId } }),
    });
  }

  /** Notes that the job of a run has been asked for. Its end tells the outcome: nobody need look every minute. */
  async begin(run: Run): Promise<void> {
    await this.#table.change(key(run), {
      set: { open: BEGUN },
      when: 'attribute_not_exists(outcome) AND #jobId = :job',
      names: ['jobId'],
      values: { job: run.jobId },
    });
  }

  /** Every run without an outcome whose job is not known to have been asked for, the oldest first. */
  open(): AsyncGenerator<Run> {
    return everyItem<Run>(this.#table, 'byOpen', OPEN, { order: 'oldestFirst' });
  }

  /** The other ones without an outcome, the oldest first. */
  begun(): AsyncGenerator<Run> {
    return everyItem<Run>(this.#table, 'byOpen', BEGUN, { order: 'oldestFirst' });
  }

  countBegun(): Promise<number> {
    return this.#table.count('byOpen', BEGUN);
  }

  /** The runs whose nominal time is on that day (UTC, `YYYY-MM-DD`), in its order. */
  ofDay(date: string): AsyncGenerator<Run> {
    return everyItem<Run>(this.#table, 'byKind', kindOf(date), { order: 'oldestFirst' });
  }
}
