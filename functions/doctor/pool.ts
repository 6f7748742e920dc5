import { memberAddress } from '../../xapi/address.ts';
import { createPoolClient } from '../../xapi/client.ts';
import { Members } from '../../xapi/members.ts';
import type { Session } from '../../xapi/session.ts';
import { entriesOf, type HostRecord, type Ref, type SrRecord } from '../../xapi/types.ts';
import { mapBounded } from '../bounded.ts';
import type { Clock } from '../clock.ts';
import type { PoolConfig } from '../config.ts';
import { requirePlugin } from '../pool/dom0.ts';
import { makesSnapshots } from '../pool/inspect.ts';
import { vmsOfPool } from '../pool/vms.ts';
import type { BaseRuntime } from '../runtime/base.ts';
import { type Check, check, type Found } from './check.ts';
import { judgeRootDisks } from './root-disks.ts';

/** Clocks further apart than this make times in logs and in the plugin's status misleading. */
const CLOCK_SECONDS = 60;
/** The time for everything that a pool is asked within one session. */
const POOL_SECONDS = 20;
/** SRs that hold no disks of VMs: CD images and the host's own drives. */
const NOT_FOR_DISKS: readonly string[] = ['iso', 'udev'];

type Deps = Pick<BaseRuntime, 'log' | 'clock' | 'store' | 'withSession'>;
type Host = readonly [Ref<'host'>, HostRecord];

/** Looks at a pool: its members, the login, each host's plugin and clock, its storage. */
export async function checkPool(pool: PoolConfig, runtime: Deps): Promise<Check[]> {
  const area = `pool ${pool.name}`;
  if (pool.driver !== 'xenapi')
    return [
      await check(runtime.log, area, 'driver', async () => ({
        status: 'warning',
        found: `The driver ${pool.driver} is not implemented.`,
        advice: 'Take the pool out of the configuration.',
      })),
    ];
  const members = pool.addresses.map((address) =>
    check(runtime.log, area, `member ${address}`, () => probe(address, pool)),
  );
  const [ofJobs, ofMembers, ofOthers, inside] = await Promise.all([
    check(runtime.log, area, 'jobs', () => lookAtJobs(pool, runtime)),
    Promise.all(members),
    checkLearned(area, pool, runtime),
    checkInside(area, pool, runtime),
  ]);
  return [ofJobs, ...ofMembers, ...ofOthers, ...inside];
}

/** How the steps of jobs last found the pool: what /healthz tells nobody in AWS. */
async function lookAtJobs({ name }: PoolConfig, { store, clock }: Deps): Promise<Found> {
  const { failures, pausedUntil = '', reason } = await store.pools.health(name);
  if (failures === 0) return { found: 'Reached the pool the last time.' };
  const paused = pausedUntil > clock.now().toISOString() ? ` They are paused until ${pausedUntil}.` : '';
  return {
    status: 'warning',
    found: `Could not reach the pool ${failures} times in a row: ${reason}.${paused}`,
    advice: 'They go on by themselves once the pool answers.',
  };
}

/** The members that only the pool named. Nothing goes to them while a configured one answers: a warning at most. */
async function checkLearned(area: string, pool: PoolConfig, { log, store }: Deps): Promise<Check[]> {
  const checks = (await learnedMembers(pool, store)).map(({ origin }) =>
    check(log, area, `member ${origin}, which the pool named`, () => probe(origin, pool)),
  );
  return (await Promise.all(checks)).map((each) =>
    each.status === 'failed'
      ? { ...each, status: 'warning', advice: `${UNREADY} ${each.advice ?? ''}` }
      : each,
  );
}

async function learnedMembers({ name, addresses }: PoolConfig, store: Deps['store']): Promise<URL[]> {
  try {
    const recall = () => store.pools.members(name);
    const members = new Members(addresses.map(memberAddress), { recall, keep: async () => {} });
    const { first, learned } = await members.toAsk();
    return [...first.filter((member) => members.isLearned(member)), ...learned];
  } catch {
    // The address is not valid: its own check says so.
    return [];
  }
}

const UNREADY = "The pool can't be reached if this one becomes its master.";

/** Each member by itself, for the day when it is the master. */
async function probe(address: string, { fingerprints, ca }: PoolConfig): Promise<Found> {
  const client = createPoolClient({
    addresses: [address],
    ...(fingerprints.length > 0 && { fingerprint: fingerprints }),
    ...(ca !== undefined && { ca }),
    callSeconds: 10,
  });
  try {
    await client.probe();
    if (!address.startsWith('https:'))
      return {
        status: 'warning',
        found: 'xapi answers, without TLS: the password crosses the network in the clear.',
        advice: 'Use https:// with a fingerprint or a CA, except on a machine of its own.',
      };
    const known = fingerprints.length > 0 ? 'the fingerprint' : 'a CA';
    return { found: `xapi answers, with a certificate that ${known} vouches for.` };
  } finally {
    await client.close();
  }
}

async function checkInside(area: string, pool: PoolConfig, runtime: Deps): Promise<Check[]> {
  const { log, clock } = runtime;
  const checks: Check[] = [];
  const login = await check(
    log,
    area,
    'login',
    () =>
      runtime.withSession(pool.name, async (xapi): Promise<Found> => {
        const hosts = entriesOf(await xapi.call('host.get_all_records'));
        const ofHosts = await mapBounded(hosts, 8, (host) => checkHost(area, host, { xapi, log, clock }));
        checks.push(...(await checkRole(area, ofHosts.flat(), runtime)));
        checks.push(...ofHosts.flat());
        checks.push(await check(log, area, 'storage', () => lookAtStorage(xapi)));
        checks.push(...(await checkSlots(area, pool, xapi, log)));
        checks.push(await check(log, area, 'root disks', async () => judgeRootDisks(await vmsOfPool(xapi))));
        const [[, first] = []] = hosts;
        const { product_brand: brand = 'xapi', product_version: version = '' } =
          first?.software_version ?? {};
        return {
          found: `${hosts.length} host${hosts.length === 1 ? '' : 's'}, ${`${brand} ${version}`.trim()}.`,
        };
      }),
    POOL_SECONDS,
  );
  return [login, ...checks];
}

/** Errors that xapi comes to only once it has seen that the account may call plugins. */
const AFTER_ROLE: readonly (string | null)[] = ['PluginMissing', 'PluginTooOld', 'PluginFailure'];

/** Whether the account may call plugins: seen from how calling one went. Nothing where no host answered. */
async function checkRole(area: string, hosts: readonly Check[], { log }: Deps): Promise<Check[]> {
  const plugins = hosts.filter(({ what }) => what.startsWith('plugin'));
  const denied = plugins.find(({ error }) => error === 'PoolPermissionDenied');
  if (denied) return [{ ...denied, what: 'role' }];
  if (!plugins.some(({ status, error }) => status === 'ok' || AFTER_ROLE.includes(error))) return [];
  return [await check(log, area, 'role', async () => ({ found: 'The account may call plugins.' }))];
}

async function checkHost(
  area: string,
  [ref, { name_label: name }]: Host,
  { xapi, log, clock }: { xapi: Session; log: Deps['log']; clock: Clock },
): Promise<Check[]> {
  return [
    await check(log, area, `plugin on ${name}`, async () => ({
      found: `Version ${await requirePlugin(xapi, ref, name)}.`,
    })),
    await check(log, area, `clock of ${name}`, async () => {
      const asked = clock.now().getTime();
      const theirs = (await xapi.call('host.get_servertime', ref)).getTime();
      // xapi gives whole seconds, of some moment between question and answer.
      const ours = (asked + clock.now().getTime()) / 2;
      return clockFound(Math.round((theirs - ours) / 1000));
    }),
  ];
}

function clockFound(seconds: number): Found {
  const apart = Math.abs(seconds);
  if (apart <= CLOCK_SECONDS) return { found: `${apart} s apart from ours.` };
  return {
    status: 'warning',
    found: `${apart} s ${seconds > 0 ? 'ahead of' : 'behind'} ours.`,
    advice: 'Set up NTP on the host (and here): times in logs and images will not fit together.',
  };
}

/** Whether the hosts and SRs whose slots are configured are there: a limit of any other limits nothing. */
async function checkSlots(
  area: string,
  { hostSlots, srSlots }: PoolConfig,
  xapi: Session,
  log: Deps['log'],
): Promise<Check[]> {
  const named = { hostSlots: Object.keys(hostSlots), srSlots: Object.keys(srSlots) };
  if (named.hostSlots.length + named.srSlots.length === 0) return [];
  const look = async (): Promise<Found> => {
    const [hosts, srs] = [
      await xapi.call('host.get_all_records'),
      await xapi.call('SR.get_all_records_where', 'true'),
    ];
    const there = new Set([...Object.values(hosts), ...Object.values(srs)].map(({ uuid }) => uuid));
    const gone = Object.entries(named).flatMap(([field, uuids]) =>
      uuids.filter((uuid) => !there.has(uuid)).map((uuid) => `${field}.${uuid}`),
    );
    if (gone.length === 0) return { found: 'The hosts and SRs with slots of their own are there.' };
    return {
      status: 'warning',
      found: `The pool has none of these: ${gone.join(', ')}.`,
      advice:
        'Take them out of the configuration, or name the host or SR that is meant: this limits nothing.',
    };
  };
  return [await check(log, area, 'slots', look)];
}

async function lookAtStorage(xapi: Session): Promise<Found> {
  return judgeStorage(Object.values<SrRecord>(await xapi.call('SR.get_all_records_where', 'true')));
}

type Sr = Pick<SrRecord, 'name_label' | 'type' | 'allowed_operations' | 'current_operations'>;

/** Whether root disks on these SRs can be imaged. */
export function judgeStorage(all: readonly Sr[]): Found {
  const srs = all.filter(({ type }) => !NOT_FOR_DISKS.includes(type));
  const named = (list: readonly Sr[]) =>
    list.map(({ name_label, type }) => `"${name_label}" (${type})`).join(', ');
  const good = srs.filter(makesSnapshots);
  const bad = srs.filter((sr) => !good.includes(sr));
  if (good.length === 0)
    return {
      status: 'failed',
      found: srs.length === 0 ? 'There is no SR for disks.' : `None that can be imaged: ${named(bad)}.`,
      advice: "xensnap needs an SR that makes snapshots: move the VMs' root disks to one.",
    };
  if (bad.length === 0) return { found: `All can be imaged: ${named(good)}.` };
  return {
    status: 'warning',
    found: `Root disks on ${named(bad)} can't be imaged; those on ${named(good)} can.`,
    advice: 'The others make no snapshots: move root disks away from them that are to be imaged.',
  };
}
