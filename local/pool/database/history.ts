import { EventEmitter } from 'node:events';

export type Change = 'add' | 'mod' | 'del';

interface Stat {
  readonly created: number;
  modified: number;
}

interface Deleted {
  readonly ref: string;
  readonly created: number;
  readonly at: number;
}

/** How many deletions of a class are remembered: once so many are there, the older half is forgotten. */
const MOST_DELETED = 512;

/** When each object came, was changed and went, in generations of the database (db_cache_types.ml). */
export class History {
  /** `change` with the class, what happened and the reference, when it has happened. */
  readonly changes = new EventEmitter<{ change: [className: string, change: Change, ref: string] }>();
  readonly #stats = new Map<string, Map<string, Stat>>();
  readonly #deleted = new Map<string, Deleted[]>();
  #generation = 1;

  constructor() {
    this.changes.setMaxListeners(0);
  }

  get generation(): number {
    return this.#generation;
  }

  note(className: string, change: Change, ref: string): void {
    this.#generation += 1;
    const at = this.#generation;
    const stats = this.#stats.get(className) ?? new Map<string, Stat>();
    this.#stats.set(className, stats);
    const stat = stats.get(ref) ?? { created: at, modified: at };
    if (change === 'del') {
      stats.delete(ref);
      const deleted = [...(this.#deleted.get(className) ?? []), { ref, created: stat.created, at }];
      const kept = deleted.length < MOST_DELETED ? deleted : deleted.slice(-MOST_DELETED / 2);
      this.#deleted.set(className, kept);
    } else {
      stat.modified = at;
      stats.set(ref, stat);
    }
    this.changes.emit('change', className, change, ref);
  }

  /** What happened to objects of the class after a generation, once for each object. */
  since(className: string, generation: number): { ref: string; change: Change; at: number }[] {
    const recent = [...(this.#stats.get(className) ?? [])]
      .filter(([, { modified }]) => modified > generation)
      .map(([ref, { created, modified }]) => {
        const isNew = created > generation;
        return { ref, change: isNew ? ('add' as const) : ('mod' as const), at: isNew ? created : modified };
      });
    // What came and went in between was never there.
    const gone = (this.#deleted.get(className) ?? [])
      .filter(({ created, at }) => at > generation && created <= generation)
      .map(({ ref, at }) => ({ ref, change: 'del' as const, at }));
    return [...recent, ...gone];
  }

  /** The generation of the last change to an object of the class that is still there or is remembered. */
  last(className: string, matches: (ref: string) => boolean): number {
    const stats = [...(this.#stats.get(className) ?? [])].filter(([ref]) => matches(ref));
    const deleted = (this.#deleted.get(className) ?? []).filter(({ ref }) => matches(ref));
    return Math.max(0, ...stats.map(([, { modified }]) => modified), ...deleted.map(({ at }) => at));
  }
}
