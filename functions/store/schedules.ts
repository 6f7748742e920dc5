import { END_OF_TIME } from '../clock.ts';
import type { Schedule } from '../schedules/schedule.ts';
import { everyItem, type PageOptions, type Table } from './table.ts';

const key = (id: string) => `schedule#${id}`;
const KIND = 'schedule';
/** When the age of the oldest backup was told. */
const AGES = 'schedules#ages';

/** A schedule in the table. Its `createdAt`, which sorts the indexes, is when it is due, so that a tick reads no other. */
type Stored = Omit<Schedule, 'createdAt'> & {
  readonly kind: typeof KIND;
  readonly createdAt: string;
  readonly madeAt: string;
};

/**
 * What changes each field: every save, one with other times, one with other times of its tests, or none. A type, so that no
 * new field is forgotten.
 */
const CHANGED_BY: {
  readonly [F in keyof Required<Schedule>]: 'save' | 'retiming' | 'retesting' | 'other';
} = {
  id: 'other',
  name: 'save',
  project: 'save',
  actor: 'other',
  changedBy: 'save',
  vm: 'save',
  selector: 'save',
  timing: 'save',
  timeZone: 'save',
  flexibleMinutes: 'save',
  keep: 'save',
  backupType: 'save',
  quiesce: 'save',
  format: 'save',
  device: 'save',
  flatten: 'save',
  restoreTest: 'save',
  enabled: 'save',
  disabledReason: 'save',
  createdAt: 'other',
  updatedAt: 'save',
  anchor: 'retiming',
  revision: 'save',
  nextAt: 'retiming',
  askUntil: 'retiming',
  testAnchor: 'retesting',
  nextTestAt: 'retesting',
  provenAt: 'other',
  claimedBy: 'other',
  claimedUntil: 'other',
};

/** The VMs that an earlier version kept here, of which very many would have been too much for an item. */
const LEGACY = 'known';

function changedBy(...by: readonly string[]): (keyof Schedule)[] {
  return (Object.keys(CHANGED_BY) as (keyof Schedule)[]).filter((field) => by.includes(CHANGED_BY[field]));
}

/** The schedules. Every method is one conditional write; `undefined` and `false` say that its condition failed. */
export class Schedules {
  readonly #table: Table;

  constructor(table: Table) {
    this.#table = table;
  }

  async get(id: string): Promise<Schedule | undefined> {
    return scheduleOf(await this.#table.get<Stored>(key(id)));
  }

  /** False when the id is taken. */
  create(schedule: Schedule): Promise<boolean> {
    const { createdAt: madeAt, ...rest } = schedule;
    return this.#table.create({
      ...rest,
      id: key(schedule.id),
      kind: KIND,
      madeAt,
      createdAt: dueAt(schedule),
    });
  }

  /**
   * Puts what a caller wants in the place of what he wanted before, `retimed` with the next time as well, `retested` with
   * that of its tests.
   */
  async replace(
    schedule: Schedule,
    before: Schedule,
    { retimed, retested }: { readonly retimed: boolean; readonly retested: boolean },
  ): Promise<Schedule | undefined> {
    const fields = changedBy('save', ...(retimed ? ['retiming'] : []), ...(retested ? ['retesting'] : []));
    // A time that a tick has moved on meanwhile has the next one look once for nothing.
    const due = dueAt({
      nextAt: (retimed ? schedule : before).nextAt,
      nextTestAt: (retested ? schedule : before).nextTestAt,
    });
    return this.#change(schedule.id, {
      set: {
        ...Object.fromEntries(fields.map((field) => [field, schedule[field]])),
        ...((retimed || retested) && { createdAt: due }),
      },
      remove: fields.filter((field) => schedule[field] === undefined),
      when: 'attribute_exists(id)',
    });
  }

  /** Answers whether it was there. */
  remove(id: string): Promise<boolean> {
    return this.#table.remove(key(id), 'kind', KIND);
  }

  /** Takes an enabled schedule for one tick. Undefined when another has it. */
  async claim(id: string, by: string, now: Date, until: Date): Promise<Schedule | undefined> {
    return this.#change(id, {
      set: { claimedBy: by, claimedUntil: until.toISOString() },
      when: '#enabled = :yes AND (attribute_not_exists(claimedUntil) OR #claimedUntil < :now)',
      names: ['enabled'],
      values: { yes: true, now: now.toISOString() },
    });
  }

  /** Gives the claim back, with what the tick found out unless a caller has changed the schedule meanwhile, or another tick disabled it. */
  async release(
    { id, claimedBy, revision }: Schedule,
    found: Pick<Schedule, 'nextAt' | 'askUntil' | 'nextTestAt'>,
  ): Promise<void> {
    const fields = ['nextAt', 'askUntil', 'nextTestAt'] as const;
    const written = await this.#change(id, {
      set: { ...Object.fromEntries(fields.map((field) => [field, found[field]])), createdAt: dueAt(found) },
      remove: ['claimedBy', 'claimedUntil', LEGACY, ...fields.filter((field) => found[field] === undefined)],
      when: '#claimedBy = :by AND #revision = :revision AND #enabled = :yes',
      names: ['revision', 'enabled'],
      values: { by: claimedBy, revision, yes: true },
    });
    if (!written)
      await this.#change(id, {
        remove: ['claimedBy', 'claimedUntil'],
        when: '#claimedBy = :by',
        values: { by: claimedBy },
      });
  }

  /** Disables it, unless a caller has changed it meanwhile. */
  async disable({ id, revision }: Schedule, reason: string): Promise<Schedule | undefined> {
    return this.#change(id, {
      set: { enabled: false, disabledReason: reason, createdAt: END_OF_TIME },
      remove: ['nextAt', 'askUntil', 'nextTestAt'],
      when: '#revision = :revision',
      names: ['revision'],
      values: { revision },
    });
  }

  /** Notes that a restore of one of its backups was proved, unless a later one was. */
  async proven(id: string, at: string): Promise<void> {
    await this.#change(id, {
      set: { provenAt: at },
      when: 'attribute_exists(id) AND (attribute_not_exists(provenAt) OR #provenAt < :provenAt)',
    });
  }

  /** Every schedule, by its next time. */
  all(): Promise<Schedule[]> {
    return this.#list({ order: 'oldestFirst' });
  }

  /** How many there are. */
  count(): Promise<number> {
    return this.#table.count('byKind', KIND);
  }

  /** Every schedule whose next time has come. */
  due(now: Date): Promise<Schedule[]> {
    return this.#list({ order: 'oldestFirst', to: now.toISOString() });
  }

  /** Takes the telling of ages for one tick; false when it was told after `before`. */
  async takeAges(now: Date, before: Date): Promise<boolean> {
    const taken = await this.#table.change(AGES, {
      set: { toldAt: now.toISOString() },
      when: 'attribute_not_exists(id) OR #toldAt < :before',
      values: { before: before.toISOString() },
    });
    return taken !== undefined;
  }

  async #list(options: PageOptions): Promise<Schedule[]> {
    const found = new Map<string, Schedule>();
    for await (const item of everyItem<Stored>(this.#table, 'byKind', KIND, options)) {
      const schedule = scheduleOf(item);
      // A schedule whose time moves meanwhile may come twice.
      if (schedule) found.set(schedule.id, schedule);
    }
    return [...found.values()];
  }

  async #change(id: string, change: Parameters<Table['change']>[1]): Promise<Schedule | undefined> {
    return scheduleOf(await this.#table.change<Stored>(key(id), change));
  }
}

function scheduleOf(item: Stored | undefined): Schedule | undefined {
  if (!item) return undefined;
  const { kind: _, createdAt: __, madeAt, ...schedule } = item;
  return { ...schedule, createdAt: madeAt, id: item.id.slice('schedule#'.length) };
}

function dueAt({
  nextAt = END_OF_TIME,
  nextTestAt = END_OF_TIME,
}: {
  readonly nextAt?: string | undefined;
  readonly nextTestAt?: string | undefined;
}): string {
  return nextAt < nextTestAt ? nextAt : nextTestAt;
}
