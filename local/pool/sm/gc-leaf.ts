import { rename } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { type MergeStep, mergeIntoParent } from '../../vhd/chain.ts';
import { isHidden } from '../../vhd/query.ts';
import { growVhd } from '../../vhd/resize.ts';
import { setHidden } from '../../vhd/vhd.ts';
import { snapshotVdi } from '../classes/vdi-snapshot.ts';
import type { Context, PoolState, Storage } from '../state.ts';
import { pauseDisk, unpauseDisk } from './blktap.ts';
import { deleteFile, mergePair, type PairStep } from './gc-pair.ts';
import { canMergeLive, isLeafOfOne, type Node, OLD_PREFIX, readTree, type Tree } from './gc-tree.ts';
import { journalsOf, removeJournal, writeJournal } from './journal.ts';
import { forgetVdi, noteSmConfig, vdiOfUuid } from './records.ts';
import { diskPath } from './storage.ts';

export type LeafStep =
  | MergeStep
  | PairStep
  | 'internal snapshot taken'
  | 'leaf paused'
  | 'leaf journal written'
  | 'base copy unhidden'
  | 'leaf renamed'
  | 'base copy renamed'
  | 'leaf journal removed'
  | 'leaf unpaused'
  | 'old leaf deleted';

const MOST_ROUNDS = 20;
const MOST_ROUNDS_WITHOUT_PROGRESS = 3;

/**
 * A disk and its base copy become one file (cleanup.py, _coalesceLeaf). A disk that holds too much for its guest to wait
 * is put on a new base copy first, and that merged, round by round, until little is left in the leaf.
 */
export async function* mergeLeaf(
  pool: PoolState,
  storage: Storage,
  context: Context,
  leaf: Node,
): AsyncGenerator<LeafStep> {
  let now = leaf;
  let idle = 0;
  for (let round = 1; !(await canMergeLive(pool, now)); round += 1) {
    const vdi = vdiOfUuid(pool, now.uuid);
    if (vdi === undefined) return;
    await snapshotVdi(context, vdi, 'internal');
    yield 'internal snapshot taken';
    const taken = (await treeOf(storage)).get(now.uuid)?.parent;
    // Somebody else has snapshotted it since.
    if (!taken?.hidden || taken.children.length !== 1 || taken.parent?.children.length !== 1) return;
    yield* mergePair(pool, storage, taken);
    const next = (await treeOf(storage)).get(now.uuid);
    if (!next || !isLeafOfOne(next)) return;
    idle = next.bytes < now.bytes ? 0 : idle + 1;
    if (round > MOST_ROUNDS || idle > MOST_ROUNDS_WITHOUT_PROGRESS)
      throw new Error(`VDI ${now.uuid} could not be coalesced`);
    now = next;
  }
  yield* mergeLiveLeaf(pool, storage, now.uuid);
}

function treeOf(storage: Storage) {
  return storage.chains.run(() => readTree(storage));
}

/** The rest, with the SR's lock held and the disk paused (_liveLeafCoalesce, _doCoalesceLeaf). */
async function* mergeLiveLeaf(pool: PoolState, storage: Storage, uuid: string): AsyncGenerator<LeafStep> {
  using _held = await storage.chains.acquire();
  const leaf = (await readTree(storage)).get(uuid);
  const parent = leaf?.parent;
  if (!leaf || !parent || !isLeafOfOne(leaf)) return;
  await pauseDisk(pool, storage, uuid);
  yield 'leaf paused';
  try {
    yield* becomeOne(pool, storage, leaf, parent);
  } catch (error) {
    await handleInterrupted(pool, storage);
    unpauseDisk(pool, storage, uuid);
    throw error;
  }
  unpauseDisk(pool, storage, uuid);
  yield 'leaf unpaused';
  await deleteFile(pool, storage, { uuid: `${OLD_PREFIX}${uuid}`, path: oldPath(leaf.path) });
  yield 'old leaf deleted';
}

function oldPath(path: string): string {
  const { dir, base } = parse(path);
  return join(dir, `${OLD_PREFIX}${base}`);
}

async function* becomeOne(
  pool: PoolState,
  storage: Storage,
  leaf: Node,
  parent: Node,
): AsyncGenerator<LeafStep> {
  await writeJournal(storage, 'leaf', leaf.uuid, parent.uuid);
  yield 'leaf journal written';
  await setHidden(parent.path, false);
  yield 'base copy unhidden';
  if (parent.virtualBytes < leaf.virtualBytes) await growVhd(parent.path, leaf.virtualBytes);
  yield* mergeIntoParent(leaf.path, parent.path);
  await rename(leaf.path, oldPath(leaf.path));
  yield 'leaf renamed';
  await rename(parent.path, leaf.path);
  yield 'base copy renamed';
  const vdi = vdiOfUuid(pool, leaf.uuid);
  noteSmConfig(pool, vdi, 'vhd-blocks', undefined);
  // Where the disk still has a parent, the database goes on naming the one that is gone until the next scan.
  if (!parent.parent) noteSmConfig(pool, vdi, 'vhd-parent', undefined);
  await setHidden(oldPath(leaf.path), true);
  await removeJournal(storage, 'leaf', leaf.uuid);
  yield 'leaf journal removed';
  forgetIfKnown(pool, parent.uuid);
}

/**
 * A merge of a leaf that was stopped half way is undone while any of its files still has another name, and else was over
 * but for the record (_handleInterruptedCoalesceLeaf). Answers whether there was one. Needs the SR's lock.
 */
export async function handleInterrupted(pool: PoolState, storage: Storage): Promise<boolean> {
  const journals = await journalsOf(storage, 'leaf');
  for (const [uuid, parentUuid] of journals) {
    const tree = await readTree(storage);
    if (tree.has(parentUuid) || tree.has(`${OLD_PREFIX}${uuid}`))
      await undo(pool, storage, tree, uuid, parentUuid);
    else forgetIfKnown(pool, parentUuid);
    await removeJournal(storage, 'leaf', uuid);
    unpauseDisk(pool, storage, uuid);
  }
  return journals.size > 0;
}

async function undo(
  pool: PoolState,
  storage: Storage,
  tree: Tree,
  uuid: string,
  parentUuid: string,
): Promise<void> {
  const [leaf, parent] = [diskPath(storage, uuid), diskPath(storage, parentUuid)];
  if (!tree.has(parentUuid)) await rename(leaf, parent);
  if (tree.has(`${OLD_PREFIX}${uuid}`)) await rename(oldPath(leaf), leaf);
  noteSmConfig(pool, vdiOfUuid(pool, uuid), 'vhd-parent', parentUuid);
  if (await isHidden(leaf)) await setHidden(leaf, false);
  if (!(await isHidden(parent))) await setHidden(parent, true);
  // What the leaf holds may be in its parent by now.
  await pool.models.freeze(uuid, [parentUuid]);
}

function forgetIfKnown(pool: PoolState, uuid: string): void {
  const vdi = vdiOfUuid(pool, uuid);
  if (vdi !== undefined) forgetVdi(pool, vdi);
}
