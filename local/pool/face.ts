import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { addVm } from './build/add-vm.ts';
import { setPlugged } from './classes/pbd.ts';
import { pluginsEnded } from './classes/plugin.ts';
import { forgetTasks } from './classes/task.ts';
import { installPlugin } from './dom0.ts';
import { vmHandle } from './handle.ts';
import { bootHost, crashHost, ejectHost, failOver, hangHost, resumeHost } from './host-life.ts';
import { listBaseCopies, takeInventory } from './inventory.ts';
import type { PoolHost, SimulatedPool } from './simulated-pool.ts';
import { noteRoomOfDevices } from './sm/device-room.ts';
import { abandonExports } from './sm/dom0-vbd.ts';
import { coalesceNow, collectorByHand } from './sm/gc.ts';
import { storageOf } from './sm/storage.ts';
import type { Host, PoolState } from './state.ts';

/** What a test or the command line holds of a running pool. */
export function face(pool: PoolState, isTls: boolean, close: () => Promise<void>): SimulatedPool {
  const { db, storage } = pool;
  const urlOf = ({ listeners: [port] }: Host): string =>
    `${isTls ? 'https' : 'http'}://127.0.0.1:${port?.port}`;
  const hosts = (): PoolHost[] =>
    pool.hosts.map((host) => {
      const { ref, uuid, name, dom0Root, isMaster } = host;
      return { ref, uuid, name, dom0Root, isMaster, url: urlOf(host) };
    });
  /** The network ports of the hosts that are up. */
  const ports = () =>
    pool.hosts.flatMap(({ listeners: [port], power }) => (port && !power.signal.aborted ? [port] : []));
  const isProper = (vm: string): boolean =>
    !db.flag('VM', vm, 'is_a_template') && !db.flag('VM', vm, 'is_control_domain');
  const hostOf = (hostUuid: string): Host => {
    const host = pool.hosts.find(({ uuid }) => uuid === hostUuid);
    if (!host) throw new Error(`The pool has no host ${hostUuid}`);
    return host;
  };
  const master = (): Host => {
    const host = pool.hosts.find(({ isMaster }) => isMaster);
    if (!host) throw new Error('The pool has no master');
    return host;
  };
  return {
    get url() {
      return urlOf(master());
    },
    get memberUrls() {
      return hosts()
        .filter(({ isMaster }) => !isMaster)
        .map(({ url }) => url);
    },
    username: pool.settings.username,
    password: pool.settings.password,
    get hosts() {
      return hosts();
    },
    get srs() {
      return [...storage.values()].map(({ ref, uuid, folder }) => ({
        ref,
        uuid,
        folder,
        name: db.text('SR', ref, 'name_label'),
      }));
    },
    vms: () =>
      db
        .refs('VM')
        .filter(isProper)
        .map((vm) => vmHandle(pool, vm)),
    vm(nameOrUuid) {
      const found = db
        .refs('VM')
        .filter((vm) => [db.text('VM', vm, 'uuid'), db.text('VM', vm, 'name_label')].includes(nameOrUuid));
      const [vm] = found;
      if (vm === undefined || found.length > 1)
        throw new Error(`${found.length} VMs are called ${nameOrUuid}`);
      return vmHandle(pool, vm);
    },
    addVm: (spec) => addVm(pool, spec),
    calls: pool.calls,
    faults: pool.faults,
    async setReachable(reachable) {
      await Promise.all(ports().map((listener) => (reachable ? listener.start() : listener.stop())));
    },
    inventory: () => takeInventory(pool),
    pluginsEnded: (seconds) => pluginsEnded(pool, seconds),
    baseCopies: () => listBaseCopies(pool),
    record: (className, ref) => db.record(className, ref),
    records: (className) =>
      Object.fromEntries(db.refs(className).map((ref) => [ref, db.record(className, ref)])),
    modelPath: (vdiUuid) => pool.models.path(vdiUuid),
    installPlugin: (hostUuid, file) => installPlugin(hostOf(hostUuid).dom0Root, file),
    async setHost(hostUuid, { enabled, live, hangs }) {
      const host = hostOf(hostUuid);
      if (enabled !== undefined) db.set('host', host.ref, 'enabled', enabled);
      if (hangs !== undefined) (hangs ? hangHost : resumeHost)(pool, host);
      if (live !== undefined) await (live ? bootHost : crashHost)(pool, host);
    },
    ejectHost: (hostUuid) => ejectHost(pool, hostOf(hostUuid)),
    async fillSr(srUuid, full) {
      const left = full ? 0 : Number.POSITIVE_INFINITY;
      const filled = storageOf(pool, db.byUuid('SR', srUuid));
      filled.freeBytes = typeof full === 'number' ? full : left;
      await noteRoomOfDevices(pool, filled);
    },
    setNewDisks(srUuid, format) {
      const sr = db.byUuid('SR', srUuid);
      storageOf(pool, sr).newDisks = format;
      const { use_vhd: _, ...smConfig } = db.map('SR', sr, 'sm_config');
      if (format === 'raw') db.set('SR', sr, 'sm_config', smConfig);
    },
    failSnapshotHalfWay(srUuid) {
      storageOf(pool, db.byUuid('SR', srUuid)).failsSnapshotHalfWay = true;
    },
    coalesceNow: (srUuid) => coalesceNow(pool, storageOf(pool, db.byUuid('SR', srUuid))),
    stepCoalescer: (srUuid) => collectorByHand(pool, storageOf(pool, db.byUuid('SR', srUuid))).step(),
    isSrLocked: (srUuid) => storageOf(pool, db.byUuid('SR', srUuid)).chains.isTaken,
    async interruptCoalescer(srUuid) {
      await storageOf(pool, db.byUuid('SR', srUuid)).collector?.kill();
    },
    async plantFile(srUuid, name, bytes) {
      const path = join(storageOf(pool, db.byUuid('SR', srUuid)).folder, name);
      await writeFile(path, bytes);
      return path;
    },
    async setPbdPlugged(hostUuid, srUuid, plugged) {
      const pbd = db
        .referrers('PBD', 'SR', db.byUuid('SR', srUuid))
        .find((each) => db.text('PBD', each, 'host') === hostOf(hostUuid).ref);
      if (pbd) await setPlugged(pool, pbd, plugged);
    },
    async restartXapi(hostUuid) {
      const host = hostUuid === undefined ? master() : hostOf(hostUuid);
      abandonExports(pool, host);
      await Promise.all(host.listeners.map((listener) => listener.stop()));
      forgetTasks(pool, host.isMaster ? undefined : host.ref);
      await Promise.all(host.listeners.map((listener) => listener.start()));
    },
    failOver: (hostUuid, how) => failOver(pool, hostOf(hostUuid), how),
    backUpDatabase: () => db.backUp(),
    renewCertificate(certificate) {
      for (const { listeners } of pool.hosts) for (const listener of listeners) listener.renew(certificate);
    },
    close,
  };
}
