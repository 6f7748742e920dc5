import { randomBytes, randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type LocalClock, localClock } from '../clock.ts';
import { buildHost, buildSr } from './build-hosts.ts';
import { newVm } from './build-vm.ts';
import { Database } from './database.ts';
import { installPlugin, xapiSocket } from './dom0.ts';
import { type Fault, Faults } from './faults.ts';
import { addVm, type VmHandle, type VmSpec, vmHandle } from './handle.ts';
import { type Listener, listen } from './http.ts';
import { listBaseCopies, type PoolInventory, takeInventory } from './inventory.ts';
import { Models } from './models.ts';
import { setPlugged } from './pbd.ts';
import { killPlugins } from './plugin.ts';
import { collectSessions } from './session.ts';
import type { CallLogEntry, Host, PoolState } from './state.ts';
import { collectTasks } from './task.ts';
import { NULL_REF, type Row } from './value.ts';
import { keepWriting } from './writer.ts';

export interface PoolOptions {
  /** Folder for the SRs' files and the models; made if missing. */
  readonly dataDir: string;
  /** Installed as `glance` in every control domain, executable; none if left out. */
  readonly pluginFile?: string;
  /** 2 by default; the first is the master. */
  readonly hosts?: number;
  /** Demo VMs: 6 of 64 MiB. */
  readonly vms?: number;
  readonly diskMib?: number;
  /** The master's, 0 for any; with one given, members take the following. */
  readonly port?: number;
  readonly username?: string;
  /** Random if left out. */
  readonly password?: string;
  /**
   * The release: true is XenServer 7.x, where `VM.snapshot_with_quiesce` works; false, the default, a release of today,
   * where it is removed and `VM.snapshot` knows `ignore_vdis`.
   */
  readonly quiesce?: boolean;
  readonly clock?: LocalClock;
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Keeps a raw model of every disk, frozen where the disk is: see `modelPath`. */
  readonly keepModels?: boolean;
  /** Whether the running guests go on writing by themselves; true by default. */
  readonly guestWrites?: boolean;
  /** How long a failed login takes: 5. */
  readonly failedLoginSeconds?: number;
  /** How long the coalescer waits before it begins: 300. */
  readonly gcQuietSeconds?: number;
  /** How long it rests after each step: 5. */
  readonly gcPairSeconds?: number;
}

export interface PoolHost extends Host {
  readonly url: string;
}

export interface SimulatedPool {
  /** The master's. */
  readonly url: string;
  readonly memberUrls: string[];
  readonly username: string;
  readonly password: string;
  readonly hosts: readonly PoolHost[];
  readonly srs: readonly {
    readonly ref: string;
    readonly uuid: string;
    readonly name: string;
    readonly folder: string;
  }[];
  /** VMs proper: no templates, snapshots, control domains. */
  vms(): VmHandle[];
  /** @throws Error when there is none or more than one of the name */
  vm(nameOrUuid: string): VmHandle;
  addVm(spec: VmSpec): Promise<VmHandle>;
  /** Every call that came, in order. */
  readonly calls: CallLogEntry[];
  readonly faults: { add(fault: Fault): () => void };
  /** False: all hosts cut their connections and refuse new ones; the control domains' sockets stay. */
  setReachable(reachable: boolean): Promise<void>;
  inventory(): Promise<PoolInventory>;
  /** UUIDs of the base copies by SR UUID. */
  baseCopies(): Record<string, string[]>;
  /** A record by reference, without a session. */
  record(className: string, ref: string): Row;
  /** All records of a class by reference. */
  records(className: string): Record<string, Row>;
  /** The raw file that the VDI must read as; only with `keepModels`. */
  modelPath(vdiUuid: string): string;
  installPlugin(hostUuid: string, file: string | null): Promise<void>;
  /** A full SR refuses snapshots; its folder still takes hard links. */
  fillSr(srUuid: string, full: boolean): void;
  setPbdPlugged(hostUuid: string, srUuid: string, plugged: boolean): Promise<void>;
  /** Ends plugins, servers and guests, and removes the control domains' folders; `dataDir` stays. */
  close(): Promise<void>;
}

const COLLECTOR_SECONDS = 30;
const DEMO_NAMES = ['web', 'db', 'cache', 'mail', 'build', 'files'];

/** Starts a pool with its hosts, SRs and demo VMs. Nothing of it outlives `close`, but the files in `dataDir`. */
export async function startPool(options: PoolOptions): Promise<SimulatedPool> {
  const dataDir = resolve(options.dataDir);
  const stop = new AbortController();
  const pool: PoolState = {
    db: new Database(),
    clock: options.clock ?? localClock(),
    settings: {
      username: options.username ?? 'root',
      password: options.password ?? randomBytes(12).toString('base64url'),
      quiesce: options.quiesce ?? false,
      failedLoginSeconds: options.failedLoginSeconds ?? 5,
      gcQuietSeconds: options.gcQuietSeconds ?? 300,
      gcPairSeconds: options.gcPairSeconds ?? 5,
    },
    hosts: [],
    guests: new Map(),
    storage: new Map(),
    models: new Models(join(dataDir, 'models'), options.keepModels ?? false),
    faults: new Faults(),
    calls: [],
    plugins: new Set(),
    released: new EventEmitter().setMaxListeners(0),
    stopped: stop.signal,
  };
  await mkdir(dataDir, { recursive: true });
  // A unix socket's path must be short, so the control domains are not in dataDir.
  const roots = await mkdtemp(join(tmpdir(), 'xs-'));
  const listeners: Listener[] = [];
  const sockets: Listener[] = [];
  const background: Promise<void>[] = [];
  const close = async (): Promise<void> => {
    stop.abort();
    killPlugins(pool);
    await Promise.all([...listeners, ...sockets].map((listener) => listener.stop()));
    await Promise.all(background);
    await Promise.all([...pool.storage.values()].map(({ chains }) => chains.run(async () => undefined)));
    await rm(roots, { recursive: true, force: true });
  };
  try {
    await buildPool(pool, options, dataDir, roots);
    const guestWrites = options.guestWrites ?? true;
    await buildDemoVms(pool, options, guestWrites);
    for (const [index, host] of pool.hosts.entries()) {
      const at = options.port ? options.port + index : 0;
      const listener = await listen(pool, host, {
        channel: 'tcp',
        at,
        ...(options.tls && { tls: options.tls }),
      });
      listeners.push(listener);
      sockets.push(await listen(pool, host, { channel: 'unix', at: xapiSocket(host.dom0Root) }));
      pool.db.set('host', host.ref, 'address', `127.0.0.1:${listener.port}`);
    }
    background.push(keepCollecting(pool));
    if (guestWrites) background.push(keepWriting(pool));
    return face(pool, listeners, guestWrites, options.tls !== undefined, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function buildPool(
  pool: PoolState,
  options: PoolOptions,
  dataDir: string,
  roots: string,
): Promise<void> {
  const { db } = pool;
  db.create('network', {
    name_label: 'Pool-wide network associated with eth0',
    bridge: 'xenbr0',
    MTU: '1500',
    managed: true,
  });
  for (let index = 0; index < (options.hosts ?? 2); index += 1) {
    const host = await buildHost(pool, `xen${index + 1}`, join(roots, String(index + 1)));
    if (options.pluginFile !== undefined) await installPlugin(host.dom0Root, options.pluginFile);
    await buildSr(pool, dataDir, { name: 'Local storage', type: 'ext', hosts: [host] });
  }
  const shared = await buildSr(pool, dataDir, { name: 'NFS shared storage', type: 'nfs', hosts: pool.hosts });
  db.create('pool', { name_label: 'demo', master: pool.hosts[0]?.ref ?? NULL_REF, default_SR: shared });
  for (const name of ['Other install media', 'Debian Bookworm 12', 'Windows Server 2022 (64-bit)']) {
    newVm(pool, {
      name_label: name,
      is_a_template: true,
      is_default_template: true,
      other_config: { default_template: 'true', mac_seed: randomUUID() },
    });
  }
}

async function buildDemoVms(pool: PoolState, options: PoolOptions, guestWrites: boolean): Promise<void> {
  const count = options.vms ?? 6;
  const hosts = pool.hosts.length;
  for (let index = 0; index < count; index += 1) {
    const name = `${DEMO_NAMES[index % DEMO_NAMES.length]}-${Math.floor(index / DEMO_NAMES.length) + 1}`;
    const spec: VmSpec = {
      name,
      sr: Math.floor(index / hosts) % 2 === 0 ? 'local' : 'nfs',
      diskMib: options.diskMib ?? 64,
      ...(pool.hosts[index % hosts] && { host: pool.hosts[index % hosts]?.name ?? '' }),
      // Big pools are for counting calls, not bytes.
      ...(count > 50 && { dataMib: 0 }),
    };
    await addVm(pool, spec, guestWrites);
  }
}

async function keepCollecting(pool: PoolState): Promise<void> {
  while (!pool.stopped.aborted) {
    try {
      await pool.clock.sleep(COLLECTOR_SECONDS, pool.stopped);
    } catch {
      return;
    }
    collectTasks(pool);
    collectSessions(pool);
  }
}

function face(
  pool: PoolState,
  listeners: readonly Listener[],
  guestWrites: boolean,
  isTls: boolean,
  close: () => Promise<void>,
): SimulatedPool {
  const { db, storage } = pool;
  const hosts = pool.hosts.map((host, index) => ({
    ...host,
    url: `${isTls ? 'https' : 'http'}://127.0.0.1:${listeners[index]?.port}`,
  }));
  const isProper = (vm: string): boolean =>
    !db.flag('VM', vm, 'is_a_template') && !db.flag('VM', vm, 'is_control_domain');
  const hostOf = (hostUuid: string): Host => {
    const host = pool.hosts.find(({ uuid }) => uuid === hostUuid);
    if (!host) throw new Error(`The pool has no host ${hostUuid}`);
    return host;
  };
  return {
    url: hosts[0]?.url ?? '',
    memberUrls: hosts.slice(1).map(({ url }) => url),
    username: pool.settings.username,
    password: pool.settings.password,
    hosts,
    srs: [...storage.values()].map(({ ref, uuid, folder }) => ({
      ref,
      uuid,
      folder,
      name: db.text('SR', ref, 'name_label'),
    })),
    vms: () =>
      db
        .refs('VM')
        .filter(isProper)
        .map((vm) => vmHandle(pool, vm, guestWrites)),
    vm(nameOrUuid) {
      const found = db
        .refs('VM')
        .filter((vm) => [db.text('VM', vm, 'uuid'), db.text('VM', vm, 'name_label')].includes(nameOrUuid));
      const [vm] = found;
      if (vm === undefined || found.length > 1)
        throw new Error(`${found.length} VMs are called ${nameOrUuid}`);
      return vmHandle(pool, vm, guestWrites);
    },
    addVm: (spec) => addVm(pool, spec, guestWrites),
    calls: pool.calls,
    faults: pool.faults,
    async setReachable(reachable) {
      await Promise.all(listeners.map((listener) => (reachable ? listener.start() : listener.stop())));
    },
    inventory: () => takeInventory(pool),
    baseCopies: () => listBaseCopies(pool),
    record: (className, ref) => db.record(className, ref),
    records: (className) =>
      Object.fromEntries(db.refs(className).map((ref) => [ref, db.record(className, ref)])),
    modelPath: (vdiUuid) => pool.models.path(vdiUuid),
    installPlugin: (hostUuid, file) => installPlugin(hostOf(hostUuid).dom0Root, file),
    fillSr(srUuid, full) {
      const found = storage.get(db.byUuid('SR', srUuid));
      if (found) found.full = full;
    },
    async setPbdPlugged(hostUuid, srUuid, plugged) {
      const pbd = db
        .referrers('PBD', 'SR', db.byUuid('SR', srUuid))
        .find((each) => db.text('PBD', each, 'host') === hostOf(hostUuid).ref);
      if (pbd) await setPlugged(pool, pbd, plugged);
    },
    close,
  };
}
