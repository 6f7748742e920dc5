import { completeTask, createTask, failTask } from '../classes/task.ts';
import { asFailure } from '../failure.ts';
import { internalContext } from '../internal-context.ts';
import type { Host, PoolState, Storage } from '../state.ts';
import { type Collector, collectorOf } from './collector.ts';
import { handleInterrupted, type LeafStep, mergeLeaf } from './gc-leaf.ts';
import { noteNoSpace } from './gc-no-space.ts';
import { deleteFile, mergePair, noteBlocks } from './gc-pair.ts';
import {
  findGarbage,
  findLeaf,
  findPair,
  readTree,
  type Skipped,
  type Tree,
  withoutBlockInfo,
} from './gc-tree.ts';
import { journalsOf, removeJournal } from './journal.ts';
import { FileInUseElsewhere } from './unlink.ts';

/** What the coalescer has just done. Before `begun` it looks whether there is work at all. */
type Step = LeafStep | 'begun' | 'garbage deleted' | 'round over';

/**
 * The SR's coalescer (sm's cleanup.py): kicked by scans and destructions, quiet for five minutes, then one piece of work
 * at a time, under a task that everybody sees. A kick while it runs is part of the run.
 */
export function kickCollector(pool: PoolState, storage: Storage): void {
  if (storage.collector || pool.stopped.aborted) return;
  const collector = beginCollector(pool, storage);
  void runByItself(pool, collector).catch(() => undefined);
}

async function runByItself({ settings }: PoolState, collector: Collector): Promise<void> {
  while (!collector.isByHand) {
    const step = await collector.step();
    if (step === undefined) return;
    if (step === 'begun') await collector.rest(settings.gcQuietSeconds);
    if (step === 'round over') await collector.rest(settings.gcPairSeconds);
  }
}

/** The coalescer for a caller who moves it on; one that is at work goes on from where it is. */
export function collectorByHand(pool: PoolState, storage: Storage): Collector {
  const collector = storage.collector ?? beginCollector(pool, storage);
  collector.takeOver();
  return collector;
}

/** All that there is to do, at once. */
export async function coalesceNow(pool: PoolState, storage: Storage): Promise<void> {
  const collector = collectorByHand(pool, storage);
  while ((await collector.step()) !== undefined);
}

/** Ends all coalescers where they are, and lets go what they have paused. */
export async function stopCollectors({ storage }: PoolState): Promise<void> {
  for (const { collector, paused } of storage.values()) {
    for (const held of paused.values()) held[Symbol.dispose]();
    await collector?.kill();
  }
}

function beginCollector(pool: PoolState, storage: Storage): Collector {
  const collector = collectorOf(pool.clock, collect(pool, storage), () => {
    if (storage.collector === collector) storage.collector = undefined;
  });
  storage.collector = collector;
  return collector;
}

/** One run, until there is nothing left to do. */
async function* collect(pool: PoolState, storage: Storage): AsyncGenerator<Step> {
  const host = collectorHost(pool, storage);
  if (!host || !isOn(pool, storage)) return;
  const skipped: Skipped = { failed: new Set(), lacking: new Set() };
  const isIdle = !(await hasWork(pool, storage, await scan(pool, storage), skipped));
  noteNoSpace(pool, storage, skipped.lacking);
  if (isIdle) return;
  const description = `Garbage collection for SR ${storage.uuid}`;
  const task = createTask(pool, { label: 'Garbage Collection', description, host: host.ref });
  yield 'begun';
  try {
    while (await hasWork(pool, storage, await scan(pool, storage), skipped)) {
      if (!isOn(pool, storage) || collectorHost(pool, storage) !== host) break;
      yield* round(pool, storage, host, skipped);
      yield 'round over';
      skipped.lacking.clear();
    }
    noteNoSpace(pool, storage, skipped.lacking);
    completeTask(pool, task, '');
  } catch (error) {
    failTask(pool, task, asFailure(error));
    throw error;
  }
}

/** All garbage, and one pair of base copies or one leaf; what fails is left alone for the rest of the run. */
async function* round(pool: PoolState, storage: Storage, host: Host, skipped: Skipped): AsyncGenerator<Step> {
  for (const uuid of (await journalsOf(storage, 'coalesce')).keys())
    await removeJournal(storage, 'coalesce', uuid);
  for (const node of withoutBlockInfo(pool, await scan(pool, storage))) await noteBlocks(pool, node);
  {
    using _held = await storage.chains.acquire();
    for (const node of await findGarbage(storage, await readTree(storage))) {
      await deleteFile(pool, storage, node);
      yield 'garbage deleted';
    }
  }
  const tree = await scan(pool, storage);
  const pair = await findPair(pool, storage, tree, skipped);
  const node = pair ?? (await findLeaf(pool, storage, tree, skipped));
  if (!node) return;
  try {
    if (pair) yield* mergePair(pool, storage, pair);
    else yield* mergeLeaf(pool, storage, internalContext(pool, host), node);
  } catch (error) {
    if (error instanceof FileInUseElsewhere) throw error;
    skipped.failed.add(node.uuid);
  }
}

async function hasWork(pool: PoolState, storage: Storage, tree: Tree, skipped: Skipped): Promise<boolean> {
  return (
    (await findGarbage(storage, tree)).length > 0 ||
    (await findPair(pool, storage, tree, skipped)) !== undefined ||
    (await findLeaf(pool, storage, tree, skipped)) !== undefined ||
    withoutBlockInfo(pool, tree).length > 0
  );
}

/** Finishes or undoes what an earlier run left half done. */
function scan(pool: PoolState, storage: Storage): Promise<Tree> {
  return storage.chains.run(async () => {
    const tree = await readTree(storage);
    return (await handleInterrupted(pool, storage)) ? readTree(storage) : tree;
  });
}

function isOn({ db }: PoolState, { ref }: Storage): boolean {
  return db.map('SR', ref, 'other_config').gc !== 'false';
}

/** The master for an SR that all hosts share, else the host that has it; none unless it is attached there. */
function collectorHost({ db, hosts }: PoolState, { ref }: Storage): Host | undefined {
  const attached = db
    .referrers('PBD', 'SR', ref)
    .filter((pbd) => db.flag('PBD', pbd, 'currently_attached'))
    .map((pbd) => db.text('PBD', pbd, 'host'));
  const [pool] = db.refs('pool');
  const master = pool === undefined ? undefined : db.text('pool', pool, 'master');
  return hosts.find(
    (host) => attached.includes(host.ref) && (db.flag('SR', ref, 'shared') ? host.ref === master : true),
  );
}
