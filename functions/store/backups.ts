import type { Table } from './table.ts';

const key = (pool: string, vmUuid: string) => `backup#${pool}#${vmUuid}`;

/** The newest verified backup of a VM that xensnap knows of. What others did to the image since, it does not know. */
export interface LastBackup {
  readonly imageId: string;
  readonly type: string;
  /** ISO 8601 UTC. */
  readonly verifiedAt: string;
}

/** The last verified backup of each VM, so that nobody needs to list images for its age. */
export class Backups {
  readonly #table: Table;

  constructor(table: Table) {
    this.#table = table;
  }

  last(pool: string, vmUuid: string): Promise<LastBackup | undefined> {
    return this.#table.get<LastBackup>(key(pool, vmUuid));
  }

  /** Notes a verified backup, unless a newer one is noted. */
  async verified(pool: string, vmUuid: string, backup: LastBackup): Promise<void> {
    await this.#table.change(key(pool, vmUuid), {
      set: { ...backup },
      when: 'attribute_not_exists(id) OR #verifiedAt < :verifiedAt',
    });
  }
}
