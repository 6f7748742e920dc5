import { rm } from 'node:fs/promises';
import { snapshotVdi } from '../classes/vdi-snapshot.ts';
import { NULL_REF } from '../database/value.ts';
import { type VmHandle, vmHandle } from '../handle.ts';
import { internalContext } from '../internal-context.ts';
import { diskPath, storageOf } from '../sm/storage.ts';
import { writeBurst } from '../sm/writer.ts';
import type { PoolState } from '../state.ts';

/** Stands the root disk on base copies by snapshots whose own leaves are gone. */
export async function deepen(pool: PoolState, { rootVdi }: VmHandle, count: number): Promise<void> {
  for (let done = 0; rootVdi && done < count; done += 1) {
    const snapshot = await snapshotVdi(internalContext(pool), rootVdi.ref);
    await dropLeaf(pool, snapshot);
    await writeBurst(pool, pool.db.text('VBD', pool.db.referrers('VBD', 'VDI', rootVdi.ref)[0] ?? '', 'VM'));
  }
}

async function dropLeaf(pool: PoolState, vdi: string): Promise<void> {
  const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
  await rm(diskPath(storage, pool.db.text('VDI', vdi, 'uuid')), { force: true });
  pool.db.destroy('VDI', vdi);
}

/** Gives the VM, in the place of its root disk, a leaf beside the other VM's. */
export async function shareParent(pool: PoolState, handle: VmHandle, other: string): Promise<void> {
  const { db } = pool;
  const source = db
    .refs('VM')
    .find((vm) => [db.text('VM', vm, 'uuid'), db.text('VM', vm, 'name_label')].includes(other));
  const sourceVdi = source && vmHandle(pool, source).rootVdi;
  const own = handle.rootVdi;
  if (!sourceVdi || !own) throw new Error(`${other} has no root disk to share`);
  const leaf = await snapshotVdi(internalContext(pool), sourceVdi.ref);
  await pool.models.thaw(db.text('VDI', leaf, 'uuid'));
  db.update('VDI', leaf, { is_a_snapshot: false, snapshot_of: NULL_REF, name_label: `${handle.name} 0` });
  for (const vbd of db.referrers('VBD', 'VDI', own.ref)) db.set('VBD', vbd, 'VDI', leaf);
  await dropLeaf(pool, own.ref);
}
