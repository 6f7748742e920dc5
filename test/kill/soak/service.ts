import { appendFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { hostGroup, slotsOfHost } from '../../../functions/store/counters.ts';
import { localClock } from '../../../local/clock.ts';
import { POOL_NAME } from '../../support/servers.ts';
import { byChance } from '../random/chance.ts';
import { uploadOf } from '../watched.ts';
import { startWorld, type World } from '../world.ts';

/** What the service's process is told at its start, as JSON in its one argument. */
export interface Settings {
  readonly pool: Pick<World['pool'], 'url' | 'memberUrls' | 'username' | 'password'>;
  readonly glanceUrl: string;
  readonly speed: number;
  readonly slots: number;
  readonly percent: number;
  readonly seed: number;
  /** Gets the service's log. */
  readonly logFile: string;
  /** UUIDs, of which the table is asked. */
  readonly hosts: readonly string[];
  readonly vms: readonly string[];
}

/** What it is asked for, and what it answers. */
export interface Answers {
  readonly heap: number;
  readonly calm: null;
  readonly janitor: null;
  /** The records of jobs that have no end, or owe something. */
  readonly records: readonly string[];
  readonly table: { readonly open: number; readonly slots: string[]; readonly leases: string[] };
}

/** What it tells. */
export type Told =
  | { readonly ready: { readonly apiUrl: string; readonly token: string } }
  | { readonly upload: { readonly image: string; readonly host: string } }
  | { readonly ended: string }
  | { readonly answer: Answers[keyof Answers] }
  | { readonly failed: string };

const tell = (told: Told) => void process.send?.(told);
const settings: Settings = JSON.parse(process.argv[2] ?? '');
// The pool and Glance are in another process, whose memory is not the service's.
const servers = {
  pool: settings.pool,
  glance: { url: settings.glanceUrl },
  clock: localClock(settings.speed),
} as World;
const world = await startWorld({
  beside: servers,
  slots: settings.slots,
  limitSpeed: 2,
  service: {
    janitorSeconds: 900,
    logLine(line) {
      appendFileSync(settings.logFile, `${line}\n`);
      if (line.includes('"job ended"')) tell({ ended: JSON.parse(line).jobId });
    },
  },
});
world.wire.decide = byChance(settings.seed, settings.percent);
world.wire.onCall = (call) => {
  const upload = uploadOf(call);
  if (upload) tell({ upload });
};
const forgetting = setInterval(() => world.wire.forget(), 1000);

const { store } = world.service.runtime;
const asked: { readonly [K in keyof Answers]: () => Promise<Answers[K]> } = {
  async heap() {
    world.wire.forget();
    global.gc?.();
    return process.memoryUsage().heapUsed;
  },
  async calm() {
    world.wire.decide = () => undefined;
    return null;
  },
  async janitor() {
    await world.janitor();
    return null;
  },
  async records() {
    const found: string[] = [];
    for await (const job of store.jobs.each('all'))
      if (job.finishedAt === undefined || job.debts?.size) found.push(inspect(job, { depth: 4 }));
    return found;
  },
  async table() {
    const slots = settings.hosts.map((host) =>
      store.counters.holders(slotsOfHost(hostGroup(POOL_NAME, host))),
    );
    const leases = settings.vms.map((vm) => store.leases.holderOfVm(POOL_NAME, vm));
    return {
      open: await store.jobs.countOpen(),
      slots: (await Promise.all(slots)).flat(),
      leases: (await Promise.all(leases)).filter((job) => job !== undefined),
    };
  },
};
process.on('message', (what: keyof Answers | 'end') => {
  if (what === 'end') {
    clearInterval(forgetting);
    return void world.close().then(() => process.exit());
  }
  asked[what]().then(
    (answer) => tell({ answer }),
    (error) => tell({ failed: String(error) }),
  );
});
// Whoever asked for it is gone.
process.once('disconnect', () => process.exit());
tell({ ready: { apiUrl: world.service.apiUrl, token: world.service.token ?? '' } });
