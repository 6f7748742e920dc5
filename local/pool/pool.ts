import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { localClock } from '../clock.ts';
import { buildDemoVms, buildPool } from './build/pool.ts';
import { endPlugins } from './classes/plugin.ts';
import { collectSessions } from './classes/session.ts';
import { collectTasks } from './classes/task.ts';
import { Database } from './database/database.ts';
import { RELEASES } from './database/release.ts';
import { xapiSocket } from './dom0.ts';
import { face } from './face.ts';
import { Faults } from './faults.ts';
import { checkLiveness } from './host-life.ts';
import type { PoolOptions, SimulatedPool } from './simulated-pool.ts';
import { stopCollectors } from './sm/gc.ts';
import { Models } from './sm/models.ts';
import { keepWriting } from './sm/writer.ts';
import type { Listener, PoolState } from './state.ts';
import { listen } from './wire/listener.ts';

// With startPool these are all that the rest of the project needs of the pool.
export type { DiskSpec, VmSpec } from './build/add-vm.ts';
export type { NicSpec } from './build/hardware.ts';
export type { NetworkSpec } from './build/network.ts';
export type { Fault } from './faults.ts';
export type { VmHandle } from './handle.ts';
export type { PoolInventory } from './inventory.ts';
export type { PoolOptions, SimulatedPool } from './simulated-pool.ts';

const COLLECTOR_SECONDS = 30;

/** Starts a pool with its hosts, SRs and demo VMs. Nothing of it outlives `close`, but the files in `dataDir`. */
export async function startPool(options: PoolOptions): Promise<SimulatedPool> {
  const dataDir = resolve(options.dataDir);
  const stop = new AbortController();
  const release = RELEASES[options.release ?? (options.quiesce ? 'xenserver-7' : 'today')];
  const pool: PoolState = {
    dataDir,
    db: new Database(release),
    clock: options.clock ?? localClock(),
    settings: {
      username: options.username ?? 'root',
      password: options.password ?? randomBytes(12).toString('base64url'),
      release,
      failedLoginSeconds: options.failedLoginSeconds ?? release.failedLoginSeconds,
      gcQuietSeconds: options.gcQuietSeconds ?? 300,
      gcPairSeconds: options.gcPairSeconds ?? 5,
      guestWrites: options.guestWrites ?? true,
      guestBootSeconds: options.guestBootSeconds ?? 40,
      vmStartSeconds: options.vmStartSeconds ?? 2,
      tapdiskCloseSeconds: options.tapdiskCloseSeconds ?? 120,
      guestShutdownSeconds: options.guestShutdownSeconds ?? 2,
    },
    hosts: [],
    guests: new Map(),
    storage: new Map(),
    models: new Models(join(dataDir, 'models'), options.keepModels ?? false),
    faults: new Faults(),
    calls: [],
    plugins: new Map(),
    released: new EventEmitter().setMaxListeners(0),
    stopped: stop.signal,
  };
  await mkdir(dataDir, { recursive: true });
  // A unix socket's path must be short, so the control domains are not in dataDir.
  const roots = await mkdtemp(join(tmpdir(), 'xs-'));
  const listeners: Listener[] = [];
  const background: Promise<void>[] = [];
  const close = async (): Promise<void> => {
    stop.abort();
    // First, since calls may wait for what one of them holds.
    await stopCollectors(pool);
    await endPlugins(pool);
    await Promise.all(listeners.map((listener) => listener.stop()));
    await Promise.all(background);
    await Promise.all([...pool.storage.values()].map(({ chains }) => chains.run(async () => undefined)));
    // A plugin's last answer may still be tidied up.
    await rm(roots, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    await buildPool(pool, options, roots);
    await buildDemoVms(pool, options);
    for (const [index, host] of pool.hosts.entries()) {
      const at = options.port ? options.port + index : 0;
      const port = await listen(pool, host, {
        channel: 'tcp',
        at,
        ...(options.tls && { tls: options.tls }),
      });
      const socket = await listen(pool, host, { channel: 'unix', at: xapiSocket(host.dom0Root) });
      host.listeners.push(port, socket);
      listeners.push(port, socket);
      pool.db.set('host', host.ref, 'address', `127.0.0.1:${port.port}`);
    }
    background.push(keepCollecting(pool));
    background.push(keepWriting(pool));
    return face(pool, options.tls !== undefined, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function keepCollecting(pool: PoolState): Promise<void> {
  while (!pool.stopped.aborted) {
    try {
      await pool.clock.sleep(COLLECTOR_SECONDS, pool.stopped);
    } catch {
      return;
    }
    checkLiveness(pool);
    collectTasks(pool);
    collectSessions(pool);
  }
}
