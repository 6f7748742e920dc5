import { join, parse } from 'node:path';
import { XapiFailure } from '../failure.ts';
import { Lock } from '../lock.ts';
import type { PoolState, Storage } from '../state.ts';

export function storageOf(pool: PoolState, srRef: string): Storage {
  const storage = pool.storage.get(srRef);
  if (!storage) throw new XapiFailure('HANDLE_INVALID', 'SR', srRef);
  return storage;
}

export function diskPath({ folder, qcow2 }: Storage, vdiUuid: string): string {
  return join(folder, `${vdiUuid}.${qcow2.has(vdiUuid) ? 'qcow2' : 'vhd'}`);
}

/** The file that stands for a raw disk's logical volume. */
export function rawPath({ folder }: Storage, vdiUuid: string): string {
  return join(folder, `${vdiUuid}.raw`);
}

/** The UUID in the name of a disk's file, a leaf's that is about to be deleted (`OLD_…`) included. */
export function uuidOf(fileName: string): string {
  return parse(fileName).name;
}

export function diskLock({ disks }: Storage, vdiUuid: string): Lock {
  const lock = disks.get(vdiUuid) ?? new Lock();
  disks.set(vdiUuid, lock);
  return lock;
}

/** @throws XapiFailure SR_HAS_NO_PBDS when no host has the SR attached */
export function assertAttached({ db }: PoolState, srRef: string): void {
  const attached = db.referrers('PBD', 'SR', srRef).some((pbd) => db.flag('PBD', pbd, 'currently_attached'));
  if (!attached) throw new XapiFailure('SR_HAS_NO_PBDS', srRef);
}
