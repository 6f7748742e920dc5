import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { SR_TYPES } from '../sm/types.ts';
import type { Context, PoolState } from '../state.ts';

/** Attaches the SR to the host or takes it away; one of files with the mount in the control domain. */
export async function setPlugged(pool: PoolState, pbd: string, plugged: boolean): Promise<void> {
  const { db, hosts, storage } = pool;
  const sr = storage.get(db.text('PBD', pbd, 'SR'));
  const host = hosts.find(({ ref }) => ref === db.text('PBD', pbd, 'host'));
  if (sr && host && SR_TYPES[sr.type].isFiles) {
    const mount = join(host.dom0Root, 'var/run/sr-mount', sr.uuid);
    await rm(mount, { force: true });
    if (plugged) await symlink(sr.folder, mount);
  }
  db.set('PBD', pbd, 'currently_attached', plugged);
}

export const pbdCalls = {
  'PBD.plug': ({ pool }: Context, pbd: string) => setPlugged(pool, pbd, true),
  'PBD.unplug': ({ pool }: Context, pbd: string) => setPlugged(pool, pbd, false),
};
