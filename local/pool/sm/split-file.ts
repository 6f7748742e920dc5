import { randomUUID } from 'node:crypto';
import { link, rename, rm, stat } from 'node:fs/promises';
import { isHidden, isUnwritten } from '../../vhd/query.ts';
import { createChildVhd, physicalBytes, setHidden } from '../../vhd/vhd.ts';
import { XapiFailure } from '../failure.ts';
import type { Storage } from '../state.ts';
import { chainOfFiles, type DiskFile } from './scan.ts';
import { diskPath } from './storage.ts';
import { SR_TYPES } from './types.ts';

/** The UUIDs of a disk, of its base copy, and of the snapshot; none for a snapshot of the coalescer's own. */
export interface Split {
  readonly uuid: string;
  readonly baseUuid: string;
  readonly snapshotUuid: string | undefined;
}

/**
 * What a snapshot does to the files (sm's FileSR.py, _snapshot): the disk's file gets a second name, the base copy's; an
 * empty child takes the first one; the snapshot is another child; the base copy is hidden. A disk that nothing was
 * written to since its last snapshot gets no base copy: vhd-util gives the children the first file above that holds a
 * block. Answers the UUID of the children's parent.
 * @throws XapiFailure SR_BACKEND_FAILURE_81, on the LVM family _44, when there is no space
 */
export async function splitFile(storage: Storage, split: Split): Promise<string> {
  const { baseUuid } = split;
  if (!SR_TYPES[storage.type].isFiles && storage.freeBytes <= 0)
    throw new XapiFailure('SR_BACKEND_FAILURE_44', '', 'There is insufficient space', '');
  const live = diskPath(storage, split.uuid);
  const base = diskPath(storage, baseUuid);
  const snapshot = split.snapshotUuid && diskPath(storage, split.snapshotUuid);
  await link(live, base);
  try {
    const parent = await parentFor(storage, base);
    await createChild(storage, `${live}.new`, parent);
    await rename(`${live}.new`, live);
    if (snapshot) {
      if (storage.failsSnapshotHalfWay) throw noSpace();
      await createChild(storage, snapshot, parent);
    }
    await setHidden(base, true);
    if (parent.uuid !== baseUuid) await rm(base);
    return parent.uuid;
  } catch (error) {
    storage.failsSnapshotHalfWay = false;
    await cleanUp(live, base, snapshot);
    const code = error instanceof Error && 'errno' in error ? Math.abs(Number(error.errno)) : 5;
    const opterr = `VDI clone failed error ${code}`;
    throw new XapiFailure('SR_BACKEND_FAILURE_81', '', `Failed to clone VDI [opterr=${opterr}]`, '');
  }
}

/** The file that children of `base` are given as parent, with the size that they get. */
async function parentFor(storage: Storage, base: string): Promise<DiskFile> {
  const chain = await chainOfFiles(storage, base);
  const [own] = chain;
  if (!own) throw new Error(`${base} is gone`);
  for (const each of chain) {
    if (each.parentUuid === undefined || !(await isUnwritten(each.path)))
      return { ...each, virtualBytes: own.virtualBytes };
  }
  return own;
}

async function createChild(storage: Storage, path: string, parent: DiskFile): Promise<void> {
  // A file's own UUID is not its name, and stays when the file is renamed; files carry real time, as their mtimes do.
  const child = { uuid: randomUUID(), parentPath: parent.path, createdAt: new Date() };
  await createChildVhd(path, { ...child, virtualBytes: parent.virtualBytes });
  const bytes = await physicalBytes(path);
  if (bytes > storage.freeBytes) {
    await rm(path);
    throw noSpace();
  }
  storage.freeBytes -= bytes;
}

function noSpace(): Error {
  return Object.assign(new Error('ENOSPC: no space left on device'), { errno: -28 });
}

/**
 * sm's way back when a snapshot failed (_clonecleanup). A base copy with a second name is unlinked, since the other one is
 * taken for the disk's: if somebody else's it is, the disk is lost.
 */
async function cleanUp(live: string, base: string, snapshot: string | undefined): Promise<void> {
  if (snapshot) await rm(snapshot, { force: true });
  if ((await stat(base)).nlink > 1) await rm(base);
  else if (!(await isHidden(base))) await rename(base, live);
}
