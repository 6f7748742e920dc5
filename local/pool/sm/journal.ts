import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Storage } from '../state.ts';

/**
 * What the coalescer has begun (sm's fjournaler.py): a file beside the disks that names the kind of work and the disk.
 * `coalesce`: a base copy's data goes into its parent; `relink`: it is there, its children do not know yet; `leaf`: a
 * leaf and its parent become one, and the file holds the parent's UUID.
 */
export type JournalKind = 'coalesce' | 'relink' | 'leaf';

const NAME = /^(coalesce|relink|leaf)_(.+)$/;

function journalPath({ folder }: Storage, kind: JournalKind, uuid: string): string {
  return join(folder, `${kind}_${uuid}`);
}

export async function writeJournal(
  storage: Storage,
  kind: JournalKind,
  uuid: string,
  text = '1',
): Promise<void> {
  await writeFile(journalPath(storage, kind, uuid), text);
}

export async function removeJournal(storage: Storage, kind: JournalKind, uuid: string): Promise<void> {
  await rm(journalPath(storage, kind, uuid), { force: true });
}

/** What each journal of the kind holds, by the disk's UUID. */
export async function journalsOf(storage: Storage, kind: JournalKind): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of await readdir(storage.folder)) {
    const [, of, uuid] = NAME.exec(name) ?? [];
    if (of === kind && uuid !== undefined)
      found.set(uuid, await readFile(join(storage.folder, name), 'utf8'));
  }
  return found;
}

/** Whether the file is sm's own beside the disks: a journal, or a disk's file on its way to another name. */
export function isSmOwn(fileName: string): boolean {
  return NAME.test(fileName) || fileName.startsWith('OLD_') || fileName.endsWith('.new');
}
