import type { SimulatedPool } from '../../../local/pool/pool.ts';
import { logIn, type TestClient } from '../../local/pool/client.ts';

/** Somebody who works with the pool beside xensnap, and knows nothing of it. What xapi refuses is let be. */
export interface Operator extends AsyncDisposable {
  /** UUIDs of the snapshots that are the operator's, and of their disks. */
  readonly snapshots: ReadonlySet<string>;
  readonly snapshotDisks: ReadonlySet<string>;
  /** UUIDs of the VMs that were destroyed. */
  readonly destroyed: ReadonlySet<string>;
  takeSnapshot(vm: string): Promise<void>;
  /** Reverts the VM to one of its snapshots, the `nth`, and starts it again. */
  revert(vm: string, nth: number): Promise<void>;
  migrate(vm: string, host: string): void;
  destroy(vm: string): Promise<void>;
  /** Removes what was in use when its VM was destroyed. */
  finish(): Promise<void>;
}

/** Logs in to a pool. VMs and hosts are named by their UUIDs. */
export async function operatorOf(pool: SimulatedPool): Promise<Operator> {
  const xapi = await logIn(pool.url, pool.username, pool.password);
  const snapshots = new Set<string>();
  const snapshotDisks = new Set<string>();
  const destroyed = new Set<string>();
  const ofVm = new Map<string, string[]>();
  const unused: string[] = [];
  const last = new Map<string, Promise<void>>();
  // One person does one thing after the other to a VM: a disk that a revert makes after its VM was looked at is nobody's.
  const inTurn =
    <Rest extends unknown[]>(work: (vm: string, ...rest: Rest) => Promise<void>) =>
    (vm: string, ...rest: Rest): Promise<void> => {
      const done = (last.get(vm) ?? Promise.resolve()).then(() => work(vm, ...rest));
      last.set(vm, done.catch(refused));
      return done;
    };
  return {
    ...{ snapshots, snapshotDisks, destroyed },
    takeSnapshot: inTurn(async (vm) => {
      const handle = handleOf(pool, vm);
      if (!handle) return;
      const task = await xapi.task('VM.snapshot', handle.ref, `before the update of ${handle.name}`);
      await xapi.call('task.destroy', task.ref);
      if (task.status !== 'success') return;
      const ref = /OpaqueRef:[^<]+/.exec(String(task.result))?.[0] ?? '';
      const { uuid } = pool.record('VM', ref);
      snapshots.add(String(uuid));
      for (const disk of disksOf(pool, ref)) snapshotDisks.add(String(pool.record('VDI', disk).uuid));
      ofVm.set(vm, [...(ofVm.get(vm) ?? []), ref]);
    }),
    revert: inTurn(async (vm, nth: number) => {
      const taken = ofVm.get(vm) ?? [];
      const snapshot = taken[nth % taken.length];
      const handle = handleOf(pool, vm);
      if (snapshot === undefined || !handle) return;
      await xapi.call('VM.revert', snapshot).catch(refused);
      handle.setPowerState('Running');
    }),
    migrate(vm, host) {
      const handle = handleOf(pool, vm);
      if (handle?.record().power_state === 'Running') handle.migrate(host);
    },
    destroy: inTurn(async (vm) => {
      const handle = handleOf(pool, vm);
      if (!handle) return;
      const disks = disksOf(pool, handle.ref);
      handle.setPowerState('Halted');
      await xapi.call('VM.destroy', handle.ref);
      destroyed.add(vm);
      unused.push(...disks);
      await removeDisks(xapi, unused);
    }),
    finish: () => removeDisks(xapi, unused),
    async [Symbol.asyncDispose]() {
      await xapi.call('session.logout').catch(refused);
    },
  };
}

function handleOf(pool: SimulatedPool, vm: string) {
  return pool.vms().find(({ uuid, record }) => uuid === vm && record().is_a_snapshot !== true);
}

function disksOf(pool: SimulatedPool, vm: string): string[] {
  return Object.values(pool.records('VBD'))
    .filter(({ VM, type }) => VM === vm && type === 'Disk')
    .map(({ VDI }) => String(VDI));
}

/** Takes out of the list what is gone. */
async function removeDisks(xapi: TestClient, disks: string[]): Promise<void> {
  for (const disk of disks.splice(0)) {
    const failure = await xapi.fails('VDI.destroy', disk);
    if (failure && failure.length > 0 && failure[0] !== 'HANDLE_INVALID') disks.push(disk);
  }
}

/** xapi does not do it now, for another operation is under way. */
const refused = (): void => {};
