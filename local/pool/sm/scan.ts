import { readdir } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { VhdError } from '../../vhd/format.ts';
import { openVhd, physicalBytes } from '../../vhd/vhd.ts';
import { XapiFailure } from '../failure.ts';
import type { Storage } from '../state.ts';
import { uuidOf } from './storage.ts';

/** A disk's file as the folder has it, whatever the database says. */
export interface DiskFile {
  readonly uuid: string;
  readonly path: string;
  readonly hidden: boolean;
  readonly virtualBytes: number;
  /** The file's length. */
  readonly bytes: number;
  readonly parentUuid: string | undefined;
}

const READERS = 8;

/**
 * What `vhd-util scan` finds in an SR's folder: every file with the ending of a disk, by its name, ours or not. One that
 * is damaged spoils the scan for all (FileSR.py, _loadvdis; cleanup.py, _scan). Folders are not looked into.
 * @throws XapiFailure SR_BACKEND_FAILURE_40 that names the damaged file
 */
export async function scanFolder(storage: Storage): Promise<Map<string, DiskFile>> {
  const names = (await readdir(storage.folder)).filter((name) => /\.(vhd|qcow2)$/.test(name));
  for (const { name, ext } of names.map((each) => parse(each))) if (ext === '.qcow2') storage.qcow2.add(name);
  const found = new Map<string, DiskFile>();
  const waiting = [...names];
  const readNext = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const disk = await readDiskFile(join(storage.folder, name));
      if (disk) found.set(disk.uuid, disk);
    }
  };
  await Promise.all(Array.from({ length: READERS }, readNext));
  return found;
}

async function readDiskFile(path: string): Promise<DiskFile | undefined> {
  const uuid = uuidOf(path);
  try {
    const vhd = await openVhd(path);
    await vhd.close();
    const parentUuid = vhd.parentName === null ? undefined : uuidOf(vhd.parentName);
    const { hidden, virtualBytes } = vhd;
    return { uuid, path, hidden, virtualBytes, bytes: await physicalBytes(path), parentUuid };
  } catch (error) {
    // Deleted since the folder was read.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    if (!(error instanceof VhdError)) throw error;
    throw new XapiFailure('SR_BACKEND_FAILURE_40', '', `The SR scan failed  [opterr=uuid=${uuid}]`, '');
  }
}

/** The UUIDs of a disk and its parents by their files, the disk first; it ends where a file is missing. */
export async function chainOfFiles(storage: Storage, path: string): Promise<DiskFile[]> {
  const chain: DiskFile[] = [];
  for (let at: string | undefined = path; at !== undefined; ) {
    const disk: DiskFile | undefined = await readDiskFile(at);
    if (!disk) break;
    chain.push(disk);
    at =
      disk.parentUuid === undefined ? undefined : join(storage.folder, `${disk.parentUuid}${parse(at).ext}`);
  }
  return chain;
}
