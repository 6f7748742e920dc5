import { BLOCK_BYTES } from '../../vhd/format.ts';
import { heldBitmap } from '../../vhd/query.ts';
import type { PoolState, Storage } from '../state.ts';
import { journalsOf } from './journal.ts';
import { smConfig, vdiOfUuid } from './records.ts';
import { emptyVhdBytes } from './room.ts';
import { type DiskFile, scanFolder } from './scan.ts';

/** A disk's file among its relatives. */
export interface Node extends DiskFile {
  parent: Node | undefined;
  readonly children: Node[];
}

export type Tree = ReadonlyMap<string, Node>;

/** The prefix that a leaf's file gets before it is removed. */
export const OLD_PREFIX = 'OLD_';

/**
 * The SR's files as the coalescer sees them (cleanup.py, scan and _buildTree). Needs the SR's lock.
 * @throws Error when a file is damaged or a parent is missing: then nothing is collected
 */
export async function readTree(storage: Storage): Promise<Tree> {
  const nodes = new Map<string, Node>();
  for (const file of (await scanFolder(storage)).values())
    nodes.set(file.uuid, { ...file, parent: undefined, children: [] });
  for (const node of nodes.values()) {
    if (node.parentUuid === undefined) continue;
    node.parent = nodes.get(node.parentUuid);
    node.parent?.children.push(node);
    if (!node.parent && !node.uuid.startsWith(OLD_PREFIX))
      throw new Error(`Parent VDI ${node.parentUuid} of ${node.uuid} not found`);
  }
  return nodes;
}

/** Hidden files that nothing hangs on, their parents too if they are left alone by that; children first. */
export async function findGarbage(storage: Storage, tree: Tree): Promise<Node[]> {
  const relinking = await journalsOf(storage, 'relink');
  const garbage = new Set<Node>();
  const visit = (node: Node): void => {
    for (const child of node.children) visit(child);
    const isAlone = node.children.every((child) => garbage.has(child));
    if (node.hidden && isAlone && !relinking.has(node.uuid)) garbage.add(node);
  };
  for (const node of tree.values()) if (!node.parent) visit(node);
  return [...garbage];
}

/** Disks that a run of the coalescer leaves alone: what has failed in it, and what there is no space for. */
export interface Skipped {
  readonly failed: Set<string>;
  readonly lacking: Set<string>;
}

/** A base copy that is its parent's only child, in the tallest tree first; one whose data is merged before all. */
export async function findPair(
  pool: PoolState,
  storage: Storage,
  tree: Tree,
  { failed, lacking }: Skipped,
): Promise<Node | undefined> {
  if (switchedOff(pool, storage, 'coalesce')) return undefined;
  for (const uuid of (await journalsOf(storage, 'relink')).keys()) {
    const node = tree.get(uuid);
    if (node && !failed.has(uuid)) return node;
  }
  const candidates = [...tree.values()]
    .filter((node) => node.hidden && node.children.length > 0 && isOnlyChild(node) && !failed.has(node.uuid))
    .map((node) => ({ node, height: heightOf(rootOf(node)) }))
    .sort((one, other) => other.height - one.height);
  for (const { node } of candidates) {
    if (await hasSpace(storage, node, 0)) return node;
    lacking.add(node.uuid);
  }
  return undefined;
}

/** A disk that is its parent's only child. */
export async function findLeaf(
  pool: PoolState,
  storage: Storage,
  tree: Tree,
  { failed, lacking }: Skipped,
): Promise<Node | undefined> {
  if (switchedOff(pool, storage, 'coalesce') || switchedOff(pool, storage, 'leaf-coalesce')) return undefined;
  for (const node of tree.values()) {
    if (!isLeafOfOne(node) || failed.has(node.uuid) || !mayMerge(pool, node)) continue;
    // A live disk that is too large needs space for another leaf, too.
    const extra = (await canMergeLive(pool, node)) ? 0 : emptyVhdBytes(node.virtualBytes);
    if (await hasSpace(storage, node, extra)) return node;
    lacking.add(node.uuid);
  }
  return undefined;
}

export function isLeafOfOne(node: Node): boolean {
  return !node.hidden && node.children.length === 0 && isOnlyChild(node);
}

function isOnlyChild({ parent }: Node): boolean {
  return parent?.children.length === 1;
}

function mayMerge(pool: PoolState, { uuid }: Node): boolean {
  const vdi = vdiOfUuid(pool, uuid);
  if (vdi === undefined) return false;
  const { db } = pool;
  return (
    db.text('VDI', vdi, 'on_boot') !== 'reset' &&
    !db.flag('VDI', vdi, 'allow_caching') &&
    db.map('VDI', vdi, 'other_config')['leaf-coalesce'] !== 'false'
  );
}

const LIVE_LEAF_BYTES = 20 * 1024 * 1024;

/** Whether a leaf holds so little that its guest may be kept waiting for the merge (canLiveCoalesce). */
export async function canMergeLive(pool: PoolState, { uuid, path }: Node): Promise<boolean> {
  const vdi = vdiOfUuid(pool, uuid);
  const isForced = vdi && pool.db.map('VDI', vdi, 'other_config')['leaf-coalesce'] === 'force';
  return isForced === true || countBits(await heldBitmap(path)) * BLOCK_BYTES < LIVE_LEAF_BYTES;
}

/** Whether the parent may grow by what it has to take, and the SR by `extra` beside it. */
async function hasSpace({ freeBytes }: Storage, { path, parent, virtualBytes }: Node, extra: number) {
  if (!parent || freeBytes === Number.POSITIVE_INFINITY) return true;
  const [own, its] = [await heldBitmap(path), await heldBitmap(parent.path)];
  const blocks = countBits(own.map((byte, at) => byte | (its[at] ?? 0)));
  const merged = blocks * (BLOCK_BYTES + 4096) + emptyVhdBytes(virtualBytes);
  return merged - parent.bytes + extra <= freeBytes;
}

function countBits(bitmap: Uint8Array): number {
  let bits = 0;
  for (const byte of bitmap) for (let rest = byte; rest > 0; rest &= rest - 1) bits += 1;
  return bits;
}

function switchedOff({ db }: PoolState, { ref }: Storage, key: string): boolean {
  return db.map('SR', ref, 'other_config')[key] === 'false';
}

function rootOf(node: Node): Node {
  return node.parent ? rootOf(node.parent) : node;
}

function heightOf({ children }: Node): number {
  return 1 + Math.max(0, ...children.map(heightOf));
}

/** Base copies whose `vhd-blocks` sm has not noted yet. */
export function withoutBlockInfo(pool: PoolState, tree: Tree): Node[] {
  return [...tree.values()].filter(({ uuid, children }) => {
    const vdi = children.length > 0 ? vdiOfUuid(pool, uuid) : undefined;
    return vdi !== undefined && smConfig(pool, vdi)['vhd-blocks'] === undefined;
  });
}
