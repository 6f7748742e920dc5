import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { XapiFailure } from '../failure.ts';
import type { Context, PoolState, Storage } from '../state.ts';
import { forgetVdi } from './records.ts';
import { scanFolder } from './scan.ts';
import { storageOf } from './storage.ts';

/** What the drivers say that remove their SR's folder itself, when something is left in it (NFSSR.py, SMBSR.py). */
const FOLDER_STAYS: Partial<Record<Storage['type'], [code: string, reason: string]>> = {
  nfs: ['SR_BACKEND_FAILURE_76', 'Failed to remove NFS mount point'],
  smb: ['SR_BACKEND_FAILURE_114', 'Failed to remove SMB mount point'],
};

/**
 * `SR.destroy` of an SR that no host has attached: its files go, folders that somebody left stay (FileSR.py, delete).
 * @throws XapiFailure SR_HAS_PBD, SR_NOT_EMPTY while there is a disk; on NFS and SMB an error of theirs for a folder
 */
async function destroySr({ pool }: Context, sr: string): Promise<void> {
  assertDetached(pool, sr);
  const storage = storageOf(pool, sr);
  await storage.chains.run(async () => {
    if ((await scanFolder(storage)).size > 0) throw new XapiFailure('SR_NOT_EMPTY');
    for (const entry of await readdir(storage.folder, { withFileTypes: true }))
      if (!entry.isDirectory()) await rm(join(storage.folder, entry.name));
    const stays = FOLDER_STAYS[storage.type];
    if (!stays) return;
    const [code, reason] = stays;
    await rmdir(storage.folder).catch(() => {
      throw new XapiFailure(code, '', reason, '');
    });
  });
  forgetSr(pool, sr);
}

function assertDetached({ db }: PoolState, sr: string): void {
  db.row('SR', sr);
  const isAttached = db.referrers('PBD', 'SR', sr).some((pbd) => db.flag('PBD', pbd, 'currently_attached'));
  if (isAttached) throw new XapiFailure('SR_HAS_PBD', sr);
}

/** The records go, the folder stays as it is. */
function forgetSr(pool: PoolState, sr: string): void {
  const { db, storage } = pool;
  for (const vdi of db.referrers('VDI', 'SR', sr)) forgetVdi(pool, vdi);
  for (const pbd of db.referrers('PBD', 'SR', sr)) db.destroy('PBD', pbd);
  db.destroy('SR', sr);
  storage.delete(sr);
}

export const srDestroyCalls = {
  'SR.destroy': destroySr,
  'SR.forget': ({ pool }: Context, sr: string) => {
    assertDetached(pool, sr);
    forgetSr(pool, sr);
  },
};
