import { randomUUID } from 'node:crypto';
import { XensnapError } from '../errors.ts';
import type { Reached } from '../words.ts';
import { everyItem, type Table } from './table.ts';

const PREFIX = 'backup#';
const key = (pool: string, vmUuid: string) => `${PREFIX}${pool}#${vmUuid}`;
const KIND = 'backup';
/** How far the janitor's looks have come. */
const LOOK = 'backups#look';

/**
 * Backups of a VM on record, the newest: some 300 bytes each, so that an item stays far below DynamoDB's 400 KB. Where
 * all of them are gone the VM counts as one without a backup, whatever older ones Glance may have.
 */
export const MOST_BACKUPS = 24;

/** A backup as it was when it was verified. */
export interface VerifiedBackup {
  readonly imageId: string;
  readonly type: string;
  /** ISO 8601 UTC. */
  readonly verifiedAt: string;
  /** What Glance had then; absent where an earlier version of xensnap verified it. */
  readonly sha512?: string;
  readonly bytes?: number;
  readonly owner?: string | null;
  /** The project whose job made it, null for callers without one; absent where an earlier version verified it. */
  readonly project?: string | null;
  /** The schedule whose run it was; absent for one on demand, and where an earlier version verified it. */
  readonly scheduleId?: string;
  /** Absent while it is there as it was verified, as far as somebody has looked. */
  readonly lost?: Lost;
}

/** What was found when a backup was looked for and was gone, or had changed. */
export interface Lost {
  /** What the image is now, to follow its name: `is no longer in Glance`. */
  readonly what: string;
  readonly foundAt: string;
}

/** How tests of a VM's backups ended: the last that proved something, and the last that failed. */
export interface Tests {
  readonly proven?: Proven;
  readonly failed?: Ended & {
    /** Of the error. */
    readonly name: string;
  };
}

interface Ended {
  readonly imageId: string;
  readonly jobId: string;
  /** The project whose job made the image, null for callers without one. */
  readonly project: string | null;
  /** ISO 8601 UTC. */
  readonly at: string;
}

/** A restore that was proved. */
export interface Proven extends Ended {
  /** From the download's first byte on. */
  readonly seconds: number;
  readonly reached: Reached;
}

/** When a backup of a VM was tested last, however that ended; empty where none ever was. */
export function lastTestOf({ tests }: Pick<KnownVm, 'tests'>): string {
  const [proven, failed] = [tests?.proven?.at ?? '', tests?.failed?.at ?? ''];
  return proven > failed ? proven : failed;
}

/** What is on record of a VM that has backups, or that a schedule's selector names. */
export interface KnownVm {
  readonly pool: string;
  readonly uuid: string;
  /** The newest first, {@link MOST_BACKUPS} at most. */
  readonly backups: readonly VerifiedBackup[];
  readonly tests?: Tests;
  /** While selectors name it: what it was called, since when that is so, and by which schedules. */
  readonly selected?: { readonly name: string; readonly since: string; readonly by: readonly string[] };
}

/** How far the janitor's looks for backups have come. Times are ISO 8601 UTC. */
export interface Look {
  /** When the last look began that has come to every VM. */
  readonly lookedAt?: string | undefined;
  /** When the one began that is under way, and the VM (`pool#uuid`) after which it goes on. */
  readonly beganAt?: string | undefined;
  readonly place?: string | undefined;
}

interface Stored extends Partial<VerifiedBackup>, Pick<KnownVm, 'selected' | 'tests'> {
  readonly id: string;
  readonly createdAt?: string;
  readonly revision?: string;
  readonly backups?: readonly VerifiedBackup[];
}

/** The verified backups of each VM, and whether they are still there. Each write is conditional on what was read. */
export class Backups {
  readonly #table: Table;

  constructor(table: Table) {
    this.#table = table;
  }

  async of(pool: string, uuid: string): Promise<KnownVm> {
    return knownOf(pool, uuid, await this.#table.get<Stored>(key(pool, uuid)));
  }

  /** The newest verified backup that is not known to be gone. */
  async last(pool: string, uuid: string): Promise<VerifiedBackup | undefined> {
    return standing(await this.of(pool, uuid));
  }

  /** Every VM on record, in an order that stays. */
  async *all(): AsyncGenerator<KnownVm> {
    for await (const item of everyItem<Stored>(this.#table, 'byKind', KIND, { order: 'oldestFirst' })) {
      const [pool = '', uuid = ''] = item.id.slice(PREFIX.length).split('#');
      yield knownOf(pool, uuid, item);
    }
  }

  /** Notes a verified backup, once. */
  async verified(pool: string, uuid: string, backup: VerifiedBackup): Promise<void> {
    await this.#edit(pool, uuid, ({ backups }) => {
      if (backups.some(({ imageId }) => imageId === backup.imageId)) return undefined;
      const sorted = [...backups, backup].sort((a, b) => (a.verifiedAt < b.verifiedAt ? 1 : -1));
      return { backups: sorted.slice(0, MOST_BACKUPS) };
    });
  }

  /** Notes how a test ended, unless a later one has said so. */
  async tested(pool: string, uuid: string, ended: Tests): Promise<void> {
    await this.#edit(pool, uuid, ({ tests = {} }) => {
      const isNew = (of: keyof Tests) => (ended[of]?.at ?? '') > (tests[of]?.at ?? '');
      const { proven, failed } = ended;
      if (!isNew('proven') && !isNew('failed')) return undefined;
      return {
        tests: {
          ...tests,
          ...(proven && isNew('proven') && { proven }),
          ...(failed && isNew('failed') && { failed }),
        },
      };
    });
  }

  /** Strikes backups that a rotation has deleted. */
  async forget(pool: string, uuid: string, imageIds: readonly string[]): Promise<void> {
    await this.#edit(pool, uuid, ({ backups }) => {
      const rest = backups.filter(({ imageId }) => !imageIds.includes(imageId));
      return rest.length < backups.length ? { backups: rest } : undefined;
    });
  }

  /** Notes what a look has found: by image, what has become of it, or undefined for one that is there. */
  async found(
    pool: string,
    uuid: string,
    looked: ReadonlyMap<string, Lost | undefined>,
  ): Promise<KnownVm | undefined> {
    return this.#edit(pool, uuid, ({ backups }) => ({
      backups: backups.map((backup) => {
        if (!looked.has(backup.imageId)) return backup;
        const { lost: _, ...there } = backup;
        const lost = looked.get(backup.imageId);
        return lost ? { ...there, lost } : there;
      }),
    }));
  }

  /** Notes that selectors name a VM, or, without `selected`, that none does any more. */
  async select(pool: string, uuid: string, selected: KnownVm['selected']): Promise<void> {
    await this.#edit(pool, uuid, () => ({ selected }));
  }

  async look(): Promise<Look> {
    return (await this.#table.get<Look>(LOOK)) ?? {};
  }

  async noteLook({ lookedAt, beganAt, place }: Look): Promise<void> {
    const fields = { lookedAt, beganAt, place };
    const absent = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [name] : []));
    await this.#table.change(LOOK, { set: fields, remove: absent });
  }

  /**
   * Reads, lets `edit` say what is to be written (undefined: nothing), and writes it unless the record has changed
   * meanwhile; answers what is there then.
   */
  async #edit(
    pool: string,
    uuid: string,
    edit: (
      known: KnownVm,
    ) =>
      | { backups?: KnownVm['backups']; selected?: KnownVm['selected'] | undefined; tests?: Tests }
      | undefined,
  ): Promise<KnownVm | undefined> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const item = await this.#table.get<Stored>(key(pool, uuid));
      const before = knownOf(pool, uuid, item);
      const changed = edit(before);
      if (changed === undefined) return before;
      const { backups, selected, tests } = { ...before, ...changed };
      // Nothing is to be known of a VM that no schedule names and of which no backup was ever there, or is any more.
      const idle = selected === undefined && backups.every(({ lost }) => lost !== undefined);
      const written = await this.#table.change<Stored>(key(pool, uuid), {
        set: {
          backups,
          selected,
          tests,
          revision: randomUUID(),
          ...(!idle && { kind: KIND }),
          createdAt: item?.createdAt ?? selected?.since ?? backups[0]?.verifiedAt,
        },
        remove: [...LEGACY, ...(selected ? [] : ['selected']), ...(idle ? ['kind'] : [])],
        when: item?.revision === undefined ? 'attribute_not_exists(#revision)' : '#revision = :was',
        values: item?.revision === undefined ? {} : { was: item.revision },
      });
      if (written) return knownOf(pool, uuid, written);
    }
    throw new XensnapError(
      'ServiceUnavailable',
      'The record of a backup is changed all the time. Ask again.',
    );
  }
}

/** Edits of one VM's record meet rarely: its job, a look, a look at the schedules. */
const MOST_TRIES = 20;
/** Fields of the one backup that an earlier version kept. */
const LEGACY = ['imageId', 'type', 'verifiedAt'] as const;

/** What counts: the newest backup that is not known to be gone. */
export function standing({ backups }: Pick<KnownVm, 'backups'>): VerifiedBackup | undefined {
  return backups.find(({ lost }) => lost === undefined);
}

/** The backups that would count in the place of {@link standing}, if they were still there; the newest first. */
export function lostBefore({ backups }: Pick<KnownVm, 'backups'>): readonly VerifiedBackup[] {
  const last = backups.findIndex(({ lost }) => lost === undefined);
  return last === -1 ? backups : backups.slice(0, last);
}

function knownOf(pool: string, uuid: string, item: Stored | undefined): KnownVm {
  const { imageId, type = '', verifiedAt, selected, tests } = item ?? {};
  const only = imageId !== undefined && verifiedAt !== undefined ? [{ imageId, type, verifiedAt }] : [];
  return {
    pool,
    uuid,
    backups: item?.backups ?? only,
    ...(selected && { selected }),
    ...(tests && { tests }),
  };
}
