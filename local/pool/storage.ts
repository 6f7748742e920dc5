import { join } from 'node:path';
import { XapiFailure } from './failure.ts';
import { Lock } from './lock.ts';
import type { PoolState } from './state.ts';

/** The folder behind an SR, which is both the mount of its hosts and the nfs export. */
export interface Storage {
  readonly ref: string;
  readonly uuid: string;
  readonly folder: string;
  /** No space: new VHDs cannot be written, hard links still can. */
  full: boolean;
  collecting: boolean;
  /** Held by whoever changes the shape of a chain: snapshots, destruction, the coalescer. */
  readonly chains: Lock;
  /** By VDI UUID: held by whoever writes into a disk or moves its file. */
  readonly disks: Map<string, Lock>;
}

export function storageOf(pool: PoolState, srRef: string): Storage {
  const storage = pool.storage.get(srRef);
  if (!storage) throw new XapiFailure('HANDLE_INVALID', 'SR', srRef);
  return storage;
}

export function vhdPath({ folder }: Storage, vdiUuid: string): string {
  return join(folder, `${vdiUuid}.vhd`);
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
