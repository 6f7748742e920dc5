import { MACHINES } from '../../../statemachine/contract.ts';
import { ended, prepare, runOnce, type Subject } from '../run/runs.ts';
import type { Call } from '../wire/call.ts';
import { startWorld, type World } from '../world.ts';
import type { Described } from './catalogue.ts';
import { isStopped, isUndone, RUNS, type RunName } from './cell.ts';

/** A call that a good run makes. */
export interface Recorded extends Described {
  readonly run: RunName;
}

/**
 * What is new in each kind of run: the states that the plain one does not pass, or passes otherwise. ReleaseHost does the
 * same after a failure.
 */
const OF_RUN: Readonly<Record<RunName, (call: Call) => boolean>> = {
  plain: ({ state }) => state !== 'janitor' && state !== 'reconcile' && state !== 'cancel',
  undone: ({ state }) => /^(CancelUpload|DiscardImage|DestroySnapshot|RelockVm)$/.test(state),
  stopped: ({ state }) => state === 'reconcile',
  backup: ({ state }) => state === 'RotateBackups',
  owing: ({ state }) => state === 'janitor',
  restore: ({ state }) =>
    state === 'request' || state === 'plugin' || (OWN.has(state) && !UNDOING.has(state)),
  'restore-cut': ({ state }) => state === 'CancelDownload',
  'restore-undone': ({ state }) => state === 'DestroyVm' || state === 'DestroyDisks',
  'restore-stopped': ({ state }) => state === 'reconcile',
  'restore-into': ({ state }) => state === 'SwapDisk' || state === 'FinishRestore',
  'restore-into-undone': ({ state }) => state === 'SettleSwap',
  'restore-test': ({ state }) => /^(TestVm|DestroyVm|MarkImage)$/.test(state),
};

/** The states that only restores have: in those that snapshots have, too, the same steps are at work. */
const OWN: ReadonlySet<string> = new Set(
  [...MACHINES.restore.forward, ...MACHINES.restore.cleanup].filter(
    (step) => !([...MACHINES.snapshot.forward, ...MACHINES.snapshot.cleanup] as string[]).includes(step),
  ),
);
/** Those that a restore passes only where it is undone. */
const UNDOING: ReadonlySet<string> = new Set(MACHINES.restore.cleanup);

/** Makes a good run of each kind and answers which calls there are. */
export async function record(): Promise<readonly Recorded[]> {
  const world = await startWorld();
  try {
    // The first job of a world also learns the pool's members and such.
    const vm = world.pool.vms()[0]?.uuid ?? '';
    const image = await world.request(vm);
    await ended(world, image);
    const recorded: Recorded[] = [];
    for (const run of Object.keys(RUNS) as RunName[])
      recorded.push(...(await recordRun(world, run, { vm, image })));
    return recorded;
  } finally {
    await world.close();
  }
}

async function recordRun(world: World, run: RunName, subject: Subject): Promise<Recorded[]> {
  await prepare(world, subject, run);
  await runOnce(world, subject, run);
  return world.wire.calls.filter(OF_RUN[run]).map(({ to, name, state, nth, args }) => ({
    ...{ run, to, name, state, nth },
    isUndoing: isUndone(run) || isStopped(run),
    isOnHandle: /^OpaqueRef:/.test(String(args[0])),
  }));
}
