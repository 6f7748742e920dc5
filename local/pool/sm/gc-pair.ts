import { deflateSync } from 'node:zlib';
import { type MergeStep, mergeIntoParent, reparent } from '../../vhd/chain.ts';
import { heldBitmap } from '../../vhd/query.ts';
import { growVhd } from '../../vhd/resize.ts';
import type { PoolState, Storage } from '../state.ts';
import { pauseDisk, unpauseDisk } from './blktap.ts';
import { type Node, readTree } from './gc-tree.ts';
import { journalsOf, removeJournal, writeJournal } from './journal.ts';
import { forgetVdi, noteSmConfig, smConfig, vdiOfUuid } from './records.ts';
import { refuseInUseElsewhere, unlinkDisk } from './unlink.ts';

export type PairStep =
  | MergeStep
  | 'coalesce journal written'
  | 'relink journal written'
  | 'leaves tagged'
  | 'child relinked'
  | 'leaves reloaded'
  | 'base copy deleted';

const ACTIVATING_TRIES = 15;
const ACTIVATING_SECONDS = 2;

/**
 * A base copy's data goes into its parent's file, its children get that parent, and it goes (cleanup.py, _coalesce). The
 * SR's lock is held for the relinking alone: the data is merged while disks are snapshotted, scanned and read. One that
 * was stopped after the merge goes on from there.
 */
export async function* mergePair(
  pool: PoolState,
  storage: Storage,
  { uuid, path, parent, virtualBytes }: Node,
): AsyncGenerator<PairStep> {
  if (!parent) return;
  if (!(await journalsOf(storage, 'relink')).has(uuid)) {
    await writeJournal(storage, 'coalesce', uuid);
    yield 'coalesce journal written';
    if (parent.virtualBytes < virtualBytes) await growPaused(pool, storage, parent, virtualBytes);
    yield* mergeIntoParent(path, parent.path);
    await pool.models.merge(uuid, parent.uuid);
    await noteBlocks(pool, parent);
    await removeJournal(storage, 'coalesce', uuid);
    await writeJournal(storage, 'relink', uuid);
    yield 'relink journal written';
  }
  {
    using _held = await storage.chains.acquire();
    for (const leaf of leavesBelow(parent)) await tagForRelink(pool, leaf);
    yield 'leaves tagged';
    // The children may have changed while the data was merged.
    const node = (await readTree(storage)).get(uuid);
    for (const child of node?.children ?? []) {
      await reparent(child.path, parent.path);
      noteSmConfig(pool, vdiOfUuid(pool, child.uuid), 'vhd-parent', parent.uuid);
      yield 'child relinked';
    }
  }
  const relinked = (await storage.chains.run(() => readTree(storage))).get(parent.uuid);
  for (const child of relinked?.children ?? []) {
    if (child.uuid === uuid) continue;
    for (const leaf of leavesBelow(child)) await reload(pool, storage, leaf);
  }
  yield 'leaves reloaded';
  await removeJournal(storage, 'relink', uuid);
  await storage.chains.run(() => deleteFile(pool, storage, { uuid, path }));
  yield 'base copy deleted';
}

function leavesBelow(node: Node): Node[] {
  return node.children.length === 0 ? [node] : node.children.flatMap(leavesBelow);
}

/** Keeps a disk from being attached while its parents change; one that is being attached is waited for. */
async function tagForRelink(pool: PoolState, { uuid }: Node): Promise<void> {
  const vdi = vdiOfUuid(pool, uuid);
  if (vdi === undefined) return;
  for (let tries = 0; smConfig(pool, vdi).activating !== undefined; tries += 1) {
    if (tries === ACTIVATING_TRIES) throw new Error(`Failed to tag vdi ${uuid} for relink`);
    await pool.clock.sleep(ACTIVATING_SECONDS, pool.stopped);
  }
  noteSmConfig(pool, vdi, 'relinking', 'True');
}

/** Has the leaf's tapdisk open its chain anew. */
async function reload(pool: PoolState, storage: Storage, { uuid }: Node): Promise<void> {
  noteSmConfig(pool, vdiOfUuid(pool, uuid), 'relinking', undefined);
  await storage.chains.run(async () => {
    await pauseDisk(pool, storage, uuid);
    unpauseDisk(pool, storage, uuid);
  });
}

/** Nobody may have a file open that is made larger: what hangs on it is paused. */
async function growPaused(pool: PoolState, storage: Storage, node: Node, bytes: number): Promise<void> {
  await storage.chains.run(async () => {
    const leaves = leavesBelow(node);
    for (const { uuid } of leaves) await pauseDisk(pool, storage, uuid);
    await growVhd(node.path, bytes);
    for (const { uuid } of leaves) unpauseDisk(pool, storage, uuid);
  });
}

/** sm's note of the blocks that a base copy holds: base64 of what zlib makes of a bit for each. */
export async function noteBlocks(pool: PoolState, { uuid, path }: Node): Promise<void> {
  const blocks = deflateSync(await heldBitmap(path)).toString('base64');
  noteSmConfig(pool, vdiOfUuid(pool, uuid), 'vhd-blocks', blocks);
}

/** A file that nobody needs, with its record. Needs the SR's lock. */
export async function deleteFile(
  pool: PoolState,
  storage: Storage,
  { uuid, path }: Pick<Node, 'uuid' | 'path'>,
): Promise<void> {
  await refuseInUseElsewhere(pool, storage, path);
  await unlinkDisk(pool, storage, path);
  const vdi = vdiOfUuid(pool, uuid);
  if (vdi !== undefined) forgetVdi(pool, vdi);
}
