import { EPOCH, NULL_REF } from '../database/value.ts';
import type { Context } from '../state.ts';
import { snapshotVdi } from './vdi-snapshot.ts';

/** `VDI.clone`: what SM makes is a snapshot's file; what becomes of it is a disk that stands for itself. */
export async function cloneVdi(context: Context, vdi: string): Promise<string> {
  const { db, models } = context.pool;
  const clone = await snapshotVdi(context, vdi);
  await models.thaw(db.text('VDI', clone, 'uuid'));
  db.update('VDI', clone, { is_a_snapshot: false, snapshot_of: NULL_REF, snapshot_time: EPOCH });
  return clone;
}

export const cloneCalls = {
  'VDI.clone': (context: Context, vdi: string) => cloneVdi(context, vdi),
};
