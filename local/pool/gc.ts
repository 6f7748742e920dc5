import { rename, rm } from 'node:fs/promises';
import { coalesceIntoParent, reparent } from './chain.ts';
import { asFailure } from './failure.ts';
import type { PoolState } from './state.ts';
import { diskLock, diskPath, type Storage } from './storage.ts';
import { completeTask, createTask, failTask } from './task.ts';
import { NULL_REF } from './value.ts';
import { physicalBytes, setHidden } from './vhd.ts';

const LIVE_LEAF_BYTES = 20 * 1024 * 1024;

/** A VDI of the SR as the coalescer sees it: managed ones are leaves, hidden ones base copies. */
interface Node {
  readonly ref: string;
  readonly uuid: string;
  readonly hidden: boolean;
  readonly parent: Node | undefined;
  readonly children: Node[];
}

interface Work {
  readonly kind: 'garbage' | 'pair' | 'leaf';
  readonly node: Node;
}

function readTree({ db }: PoolState, storage: Storage): Node[] {
  const nodes = new Map<string, Node & { parent: Node | undefined }>();
  for (const ref of db.referrers('VDI', 'SR', storage.ref)) {
    const uuid = db.text('VDI', ref, 'uuid');
    nodes.set(uuid, { ref, uuid, hidden: !db.flag('VDI', ref, 'managed'), parent: undefined, children: [] });
  }
  for (const node of nodes.values()) {
    const parent = nodes.get(db.map('VDI', node.ref, 'sm_config')['vhd-parent'] ?? '');
    node.parent = parent;
    parent?.children.push(node);
  }
  return [...nodes.values()];
}

/** What is next: hidden files that nobody needs, base copies to merge into their parents, leaves to merge into theirs. */
async function nextWork(pool: PoolState, storage: Storage): Promise<Work | undefined> {
  const { db } = pool;
  const settings = db.map('SR', storage.ref, 'other_config');
  if (settings.gc === 'false') return undefined;
  const nodes = readTree(pool, storage);
  const garbage = nodes.find(({ hidden, children }) => hidden && children.length === 0);
  if (garbage) return { kind: 'garbage', node: garbage };
  if (settings.coalesce === 'false') return undefined;
  const single = ({ parent }: Node): boolean => parent?.hidden === true && parent.children.length === 1;
  const pair = nodes.find((node) => node.hidden && node.children.length > 0 && single(node));
  if (pair) return { kind: 'pair', node: pair };
  for (const node of nodes) {
    if (node.hidden || node.children.length > 0 || !single(node)) continue;
    if (db.map('VDI', node.ref, 'other_config')['leaf-coalesce'] === 'false') continue;
    if (Object.keys(db.map('VDI', node.ref, 'current_operations')).length > 0) continue;
    const attached = db
      .referrers('VBD', 'VDI', node.ref)
      .some((vbd) => db.flag('VBD', vbd, 'currently_attached'));
    if (attached && (await physicalBytes(diskPath(storage, node.uuid))) > LIVE_LEAF_BYTES) continue;
    return { kind: 'leaf', node };
  }
  return undefined;
}

/**
 * The SR's coalescer (sm cleanup.py): kicked by scans and destructions, quiet for five minutes, then one step at a
 * time, under a task that everybody sees. A kick while it runs is part of the run.
 */
export function kickCollector(pool: PoolState, storage: Storage): void {
  if (storage.collecting || pool.stopped.aborted) return;
  storage.collecting = true;
  void collect(pool, storage)
    .catch(() => undefined)
    .finally(() => {
      storage.collecting = false;
    });
}

async function collect(pool: PoolState, storage: Storage): Promise<void> {
  const { clock, settings, stopped } = pool;
  if (!(await nextWork(pool, storage))) return;
  const host = pool.hosts[0]?.ref ?? NULL_REF;
  const description = `Garbage collection for SR ${storage.uuid}`;
  const task = createTask(pool, { label: 'Garbage Collection', description, host });
  try {
    await clock.sleep(settings.gcQuietSeconds, stopped);
    while (await storage.chains.run(() => step(pool, storage))) {
      await clock.sleep(settings.gcPairSeconds, stopped);
    }
    completeTask(pool, task, '');
  } catch (error) {
    failTask(pool, task, asFailure(error));
  }
}

/** Does what is next; false when there was nothing. Needs the SR's chain lock. */
async function step(pool: PoolState, storage: Storage): Promise<boolean> {
  if (pool.stopped.aborted) return false;
  const work = await nextWork(pool, storage);
  if (work?.kind === 'garbage') await forget(pool, storage, work.node);
  if (work?.kind === 'pair') await mergePair(pool, storage, work.node);
  if (work?.kind === 'leaf') await mergeLeaf(pool, storage, work.node);
  return work !== undefined;
}

/** The node's data goes into its parent's file, its children get that parent, the node goes. */
async function mergePair(pool: PoolState, storage: Storage, node: Node): Promise<void> {
  const { parent } = node;
  if (!parent) return;
  const path = diskPath(storage, parent.uuid);
  await coalesceIntoParent(diskPath(storage, node.uuid), path);
  await pool.models.merge(node.uuid, parent.uuid);
  for (const child of node.children) {
    // The control domain pauses a disk in use while its parent changes.
    await diskLock(storage, child.uuid).run(() => reparent(diskPath(storage, child.uuid), path));
    setParent(pool, child.ref, parent.uuid);
  }
  await forget(pool, storage, node);
}

/** A leaf's data goes into its parent's file, which then takes the leaf's name. */
async function mergeLeaf(pool: PoolState, storage: Storage, { ref, uuid, parent }: Node): Promise<void> {
  if (!parent) return;
  const [leaf, base] = [diskPath(storage, uuid), diskPath(storage, parent.uuid)];
  await diskLock(storage, uuid).run(async () => {
    await coalesceIntoParent(leaf, base);
    await setHidden(base, false);
    await rename(base, leaf);
  });
  setParent(pool, ref, parent.parent?.uuid);
  pool.db.destroy('VDI', parent.ref);
}

async function forget(pool: PoolState, storage: Storage, { ref, uuid }: Node): Promise<void> {
  await rm(diskPath(storage, uuid), { force: true });
  pool.db.destroy('VDI', ref);
}

function setParent({ db }: PoolState, vdi: string, parentUuid: string | undefined): void {
  const { 'vhd-parent': _old, ...rest } = db.map('VDI', vdi, 'sm_config');
  db.set('VDI', vdi, 'sm_config', parentUuid === undefined ? rest : { ...rest, 'vhd-parent': parentUuid });
}
