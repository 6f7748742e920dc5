import { type Config, type PoolConfig, poolConfig } from './config.ts';
import { XensnapError } from './errors.ts';
import { takeVm } from './held-vm.ts';
import { findIntoVm, refuseOtherDisk } from './into-vm.ts';
import type { IntoVm, RestoreJob } from './job.ts';
import { askForJob } from './job-request.ts';
import { chooseSr, refuseWithoutRoom } from './pool/choose-sr.ts';
import { refuseUnknownNetworks } from './pool/networks.ts';
import { allowedToRestore } from './projects.ts';
import { giveBack } from './quota.ts';
import { type RestorableImage, restorableImage } from './restorable-image.ts';
import { type RestoreWish, refuseUnusable } from './restore-wish.ts';
import type { Runtime } from './runtime/executions.ts';
import { translate, translateOfPool } from './translate.ts';
import { DEFAULT_MACS } from './words.ts';

/** Asks for a restore, or finds the one that this request asked for before. Refuses what can be known beforehand. */
export async function requestRestore(
  wish: RestoreWish,
  runtime: Runtime,
): Promise<{ job: RestoreJob; created: boolean }> {
  refuseUnusable(wish);
  return askForJob('restore', wish, runtime, {
    async prepare(id) {
      const job = await newRestore(id, wish, runtime);
      return { job, begin: () => begin(job, runtime) };
    },
    undo: (job) => undo(job, runtime),
  });
}

async function begin(job: RestoreJob, runtime: Runtime): Promise<void> {
  if (job.into) await takeVm(job, job.into, runtime);
  await runtime.executions.start(job);
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
      if (into && wish.device === undefined) refuseOtherDisk(into, image);
      const { record } = await chooseSr(xapi, {
        asked: wish.sr,
        before: into?.srUuid ?? before,
        allowed: allowed?.srs,
      });
      refuseWithoutRoom(record, image);
      if (wish.networks)
        await refuseUnknownNetworks(xapi, wish.networks, {
          nics: image.vmConfig?.nics,
          allowed: allowed?.networks,
        });
      return { ...(into && { into }), xapiCalls: xapi.callCount + 1 };
    });
  } catch (error) {
    throw translateOfPool(pool, error);
  }
}

async function newRestore(id: string, wish: RestoreWish, runtime: Runtime): Promise<RestoreJob> {
  const { glance, clock, config } = runtime;
  const record = await glance.getImage(wish.image);
  const image = restorableImage(wish.image, record, wish.project, config);
  const { name: pool, driver } = poolOf(wish, record?.properties.xensnap_pool, config);
  if (driver === 'libvirt')
    throw new XensnapError(
      'DriverNotImplemented',
      `Pool "${pool}" has the driver libvirt, for which restores are not implemented.`,
    );
  const { into, xapiCalls } = await look(pool, wish, image, runtime);
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
