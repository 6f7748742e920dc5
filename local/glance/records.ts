import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** An image as Glance's database has it, under Glance's own names; times are ISO 8601 with milliseconds. */
export interface ImageRecord {
  id: string;
  name: string | null;
  status: 'queued' | 'saving' | 'active' | 'deleted';
  size: number | null;
  checksum: string | null;
  os_hash_algo: string | null;
  os_hash_value: string | null;
  disk_format: string | null;
  container_format: string | null;
  visibility: string;
  owner: string | null;
  protected: boolean;
  os_hidden: boolean;
  min_disk: number;
  min_ram: number;
  tags: string[];
  created_at: string;
  updated_at: string;
  properties: Record<string, string>;
}

/** The image table: one JSON file for each image, deleted ones included, since Glance never gives an id twice. */
export interface Records {
  /** images that are not deleted */
  all(): ImageRecord[];
  get(id: string): ImageRecord | undefined;
  /** whether the id was ever used */
  known(id: string): boolean;
  /** Writes the record to disk before it returns, whole or not at all. */
  save(record: ImageRecord): void;
  /** where the image's data lies, or would */
  dataPath(id: string): string;
}

export function openRecords(dataDir: string): Records {
  const recordsDir = join(dataDir, 'records');
  const imagesDir = join(dataDir, 'images');
  for (const folder of [recordsDir, imagesDir]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  const records = new Map<string, ImageRecord>();
  for (const file of readdirSync(recordsDir)) {
    if (!file.endsWith('.json')) continue;
    const record = readRecord(join(recordsDir, file));
    records.set(record.id, record);
  }
  const living = (record: ImageRecord | undefined) => (record?.status === 'deleted' ? undefined : record);
  return {
    all: () => [...records.values()].filter((record) => record.status !== 'deleted'),
    get: (id) => living(records.get(id)),
    known: (id) => records.has(id),
    save(record) {
      const path = join(recordsDir, `${record.id}.json`);
      try {
        writeFileSync(`${path}.new`, JSON.stringify(record));
        renameSync(`${path}.new`, path);
      } catch (error) {
        rmSync(`${path}.new`, { force: true });
        throw error;
      }
      // Told only now: nobody hears of what is not on the disk yet.
      records.set(record.id, record);
    },
    dataPath: (id) => join(imagesDir, id),
  };
}

function readRecord(path: string): ImageRecord {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new Error(
      `The image record ${path} is damaged. Put a copy of it back, or remove it: its image is forgotten then`,
      { cause },
    );
  }
}
