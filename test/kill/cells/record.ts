import { ended, runOnce } from '../run/runs.ts';
import type { Call } from '../wire/call.ts';
import { startWorld, type World } from '../world.ts';
import type { Described } from './catalogue.ts';
import { RUNS, type RunName } from './cell.ts';

/** A call that a good run makes. */
export interface Recorded extends Described {
  readonly run: RunName;
}

/** What is new in each kind of run: the states that the plain one does not pass, or passes otherwise. */
const OF_RUN: Readonly<Record<RunName, (call: Call) => boolean>> = {
  plain: ({ state }) => state !== 'janitor' && state !== 'reconcile' && state !== 'cancel',
  undone: ({ state }) => /^(CancelUpload|DiscardImage|DestroySnapshot|RelockVm|ReleaseHost)$/.test(state),
  stopped: ({ state }) => state === 'reconcile',
  backup: ({ state }) => state === 'RotateBackups',
  owing: ({ state }) => state === 'janitor',
};

/** Makes a good run of each kind and answers which calls there are. */
export async function record(): Promise<readonly Recorded[]> {
  const world = await startWorld();
  try {
    // The first job of a world also learns the pool's members and such.
    await ended(world, await world.request(world.pool.vms()[0]?.uuid ?? ''));
    const recorded: Recorded[] = [];
    for (const run of RUNS) recorded.push(...(await recordRun(world, run)));
    return recorded;
  } finally {
    await world.close();
  }
}

async function recordRun(world: World, run: RunName): Promise<Recorded[]> {
  const vm = world.pool.vms()[0]?.uuid ?? '';
  world.wire.forget();
  await runOnce(world, vm, run);
  return world.wire.calls.filter(OF_RUN[run]).map(({ to, name, state, nth, args }) => ({
    ...{ run, to, name, state, nth },
    isUndoing: run === 'undone' || run === 'stopped',
    isOnHandle: /^OpaqueRef:/.test(String(args[0])),
  }));
}
