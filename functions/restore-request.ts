import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { shorten } from '../glance/shorten.ts';
import type { VmRecord } from '../xapi/types.ts';
import { abandon } from './abandon.ts';
import { type Config, type PoolConfig, poolConfig } from './config.ts';
import { XensnapError } from './errors.ts';
import { takeVm } from './held-vm.ts';
import { findIntoVm } from './into-vm.ts';
import type { IntoVm, RestoreJob, ScheduledRun } from './job.ts';
import { chooseSr, refuseWithoutRoom } from './pool/choose-sr.ts';
import { networksNamed } from './pool/networks.ts';
import { allowedToRestore } from './projects.ts';
import { giveBack, takeQuota } from './quota.ts';
import { bindKey, jobOfKey, KEY_SECONDS } from './request-key.ts';
import { type RestorableImage, restorableImage } from './restorable-image.ts';
import type { Runtime } from './runtime/executions.ts';
import type { Idempotency } from './snapshot-request.ts';
import { translate, translateOfPool } from './translate.ts';
import { DEFAULT_MACS, type MacPolicy } from './words.ts';

/** A wish to have an image back in a pool, from whichever API it came. */
export interface RestoreWish {
  /** Id of the image. */
  readonly image: string;
  /** Where to; that which the image is from, or the only one, if absent. */
  readonly pool?: string;
  /** UUID or name of the SR. */
  readonly sr?: string;
  /** Of the VM and its disk. */
  readonly name?: string;
  /** UUID or name of a network by the device of an interface. */
  readonly networks?: Readonly<Record<string, string>>;
  readonly macs?: MacPolicy;
  readonly start?: boolean;
  readonly disksOnly?: boolean;
  /** UUID or name of a VM that is there, whose disk is exchanged. */
  readonly into?: string;
  /** Position of that disk; that of the one that the VM boots from if absent. */
  readonly device?: string;
  /** Whether that VM may be asked to shut down when the disk has been written. */
  readonly shutdown?: boolean;
  /** Says which VMs the caller may touch; all if absent. */
  readonly allows?: (vm: VmRecord) => boolean;
  /** Restores it only to prove that this can be done; with `boot`, the VM must come up, too. Nothing of it stays. */
  readonly test?: boolean;
  readonly boot?: boolean;
  /** The run of a schedule that asks, and the id that its job is to have: whoever asks twice gets the first one's. */
  readonly run?: ScheduledRun;
  readonly jobId?: string;
  /** The caller's project: the job is its. */
  readonly project?: string;
  /** Who asks, for people and for the log. */
  readonly actor?: string;
  /** Present if the request must not act twice. */
  readonly idempotency?: Idempotency;
}

/**
 * Starts a restore, or finds the one that this request started before. Refuses what can be known beforehand. Each write
 * leaves a record before its effect, so that a failure half-way is undone or found by the janitor.
 */
export async function requestRestore(
  wish: RestoreWish,
  runtime: Runtime,
): Promise<{ job: RestoreJob; created: boolean }> {
  const { store } = runtime;
  refuseUnusable(wish);
  const earlier = await jobOfKey('restore', wish, runtime);
  if (earlier) return { job: earlier, created: false };
  const id = wish.jobId ?? randomUUID();
  await takeQuota('jobs', wish.project, id, runtime);
  const { job, other } = await prepare(id, wish, runtime).catch(async (error: unknown) => {
    await giveBack('jobs', wish.project, id, runtime);
    throw error;
  });
  if (other) {
    await giveBack('jobs', wish.project, id, runtime);
    return { job: other, created: false };
  }
  try {
    if (!(await store.jobs.create(job)))
      return { job: (await store.jobs.restore(job.id)) ?? job, created: false };
  } catch (error) {
    // It may be there all the same. The id of a scheduled one may be another tick's, whose job goes on.
    if (wish.jobId === undefined) await abandon(job, wish, error, runtime, undo);
    throw translate(error);
  }
  try {
    if (job.into) await takeVm(job, job.into, runtime);
    await runtime.executions.start(job);
    if (wish.idempotency)
      await store.leases.takeKey(wish.idempotency.key, job.id, runtime.clock.now(), KEY_SECONDS.served);
  } catch (error) {
    const running = await abandon(job, wish, error, runtime, undo);
    if (!running) throw translate(error);
    const reason = translate(error).message;
    runtime.log.warn('a job runs although its request failed', { jobId: job.id, reason });
    return { job: running, created: true };
  }
  // The job runs, whether or not it can be read at this moment.
  return { job: (await store.jobs.restore(job.id).catch(() => undefined)) ?? job, created: true };
}

const MOST_NAME_CHARACTERS = 255;

/** Refuses what no pool could make right. @throws BadRequest, ImageNotFound */
function refuseUnusable(wish: RestoreWish): void {
  const { image, name, start, disksOnly, networks, into, macs, device, shutdown, test, boot } = wish;
  // Glance's ids are; any other text is for no store to look up.
  if (!z.uuid().safeParse(image).success)
    throw new XensnapError('ImageNotFound', `There is no image ${shorten(image, 60)}.`);
  if (name !== undefined && (name === '' || name.length > MOST_NAME_CHARACTERS))
    throw new XensnapError('BadRequest', `name: it has 1 to ${MOST_NAME_CHARACTERS} characters.`);
  if (disksOnly && (start || networks))
    throw new XensnapError('BadRequest', 'disksOnly: without a VM there is nothing to start or to connect.');
  const own = Object.entries({ name, networks, macs, disksOnly: disksOnly || undefined });
  const [unfit] = own.find(([, value]) => value !== undefined) ?? [];
  if (into !== undefined && unfit !== undefined)
    throw new XensnapError(
      'BadRequest',
      `${unfit}: a VM that is there keeps its name, its interfaces and their addresses. Leave it out, or leave out "into".`,
    );
  const [alone] = Object.entries({ device, shutdown }).find(([, value]) => value !== undefined) ?? [];
  if (into === undefined && alone !== undefined)
    throw new XensnapError('BadRequest', `${alone}: it is for a VM that is there. Name that with "into".`);
  if (boot && !test)
    throw new XensnapError('BadRequest', 'boot: that is for a test; "start" starts what stays.');
  const pointless = NOT_OF_TESTS.find((field) => wish[field]);
  if (test && pointless)
    throw new XensnapError('BadRequest', `${pointless}: nothing of a test stays, nor is it on a network.`);
}

const NOT_OF_TESTS = ['name', 'networks', 'macs', 'start', 'disksOnly', 'into'] as const;

async function prepare(id: string, wish: RestoreWish, runtime: Runtime) {
  const { glance, config } = runtime;
  const record = await glance.getImage(wish.image);
  const image = restorableImage(wish.image, record, wish.project, config);
  const { name: pool, driver } = poolOf(wish, record?.properties.xensnap_pool, config);
  if (driver === 'libvirt')
    throw new XensnapError(
      'DriverNotImplemented',
      `Pool "${pool}" has the driver libvirt, for which restores are not implemented.`,
    );
  const found = await look(pool, wish, image, runtime);
  const job = newRestore({ id, pool, ...found }, wish, runtime);
  return { job, other: await bindKey('restore', wish, job.id, runtime) };
}

function poolOf({ pool }: RestoreWish, from: string | undefined, config: Config): PoolConfig {
  if (pool !== undefined) return poolConfig(config, pool);
  const { pools } = config;
  const found = pools.find(({ name }) => name === from) ?? (pools.length === 1 ? pools[0] : undefined);
  if (found) return found;
  const known = pools.map(({ name }) => name).join(', ');
  throw new XensnapError('BadRequest', `pool: the image is from none of these: ${known}. Name one.`);
}

/** What a look has found: the VM that is there, if one was named, and how many calls it took, with login and logout. */
interface Look {
  readonly into?: IntoVm;
  readonly xapiCalls: number;
}

/** Looks whether it could begin now. */
async function look(
  pool: string,
  wish: RestoreWish,
  image: RestorableImage,
  runtime: Runtime,
): Promise<Look> {
  const allowed = allowedToRestore(wish.project, runtime.config);
  const before = (await runtime.store.jobs.snapshot(image.id))?.srUuid;
  try {
    return await runtime.withSession(pool, async (xapi) => {
      const { into: named, ...how } = wish;
      const into = named === undefined ? undefined : await findIntoVm(xapi, { into: named, ...how });
      const { record } = await chooseSr(xapi, {
        asked: wish.sr,
        before: into?.srUuid ?? before,
        allowed: allowed?.srs,
      });
      refuseWithoutRoom(record, image);
      if (wish.networks) await networksNamed(xapi, wish.networks, allowed?.networks);
      return { ...(into && { into }), xapiCalls: xapi.callCount + 1 };
    });
  } catch (error) {
    throw translateOfPool(pool, error);
  }
}

function newRestore(
  { id, pool, into, xapiCalls }: Look & { readonly id: string; readonly pool: string },
  wish: RestoreWish,
  { clock, config }: Runtime,
): RestoreJob {
  const now = clock.now();
  return {
    id,
    machine: 'restore',
    status: 'starting',
    phase: 'Requested',
    request: {
      image: wish.image,
      ...(wish.sr !== undefined && { sr: wish.sr }),
      ...(wish.name !== undefined && { name: wish.name }),
      ...(wish.networks && { networks: wish.networks }),
      macs: wish.macs ?? DEFAULT_MACS,
      start: wish.start ?? false,
      disksOnly: wish.disksOnly ?? false,
      ...(wish.test && { test: true, boot: wish.boot ?? false }),
    },
    ...(into && { into }),
    ...(wish.test && { debts: new Set(['mark'] as const) }),
    ...(wish.project !== undefined && { project: wish.project }),
    ...(wish.actor !== undefined && { actor: wish.actor }),
    ...(wish.run && { run: wish.run }),
    ...(wish.idempotency && { requestDigest: wish.idempotency.request }),
    pool,
    xapiCalls,
    createdAt: now.toISOString(),
    deadline: new Date(now.getTime() + config.timings.jobMaxSeconds * 1000).toISOString(),
  };
}

/** A refused restore has made nothing but its record, has tested nothing, and may have a VM. */
async function undo(job: RestoreJob, runtime: Runtime): Promise<void> {
  const { store, log } = runtime;
  try {
    if (job.into) await store.leases.releaseVm(job.pool, job.into.uuid, job.id);
    await giveBack('jobs', job.project, job.id, runtime);
    if (job.request.test) await store.jobs.pay(job.id, 'mark');
    await store.jobs.settle(job.id);
  } catch (problem) {
    log.warn('a refused job is left for the janitor', { jobId: job.id, reason: translate(problem).message });
  }
}
