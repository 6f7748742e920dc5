import { randomUUID } from 'node:crypto';
import { wasNeverSent } from '../glance/never-sent.ts';
import type { VmRecord } from '../xapi/types.ts';
import { type ErrorName, XensnapError } from './errors.ts';
import { glanceText, refuseUnfit } from './glance-text.ts';
import { whyHeld } from './held-vm.ts';
import { defaultName, replacedTexts } from './image-name.ts';
import { imageFormat, imageProperties, refuseReservedMetadata } from './image-properties.ts';
import { type Backup, isFinished, type Job, type JobRequest, type ScheduledRun } from './job.ts';
import { giveBack, takePlace } from './quota.ts';
import type { Runtime } from './runtime/executions.ts';
import { findTarget, type Target } from './target.ts';
import { asJobError, translate } from './translate.ts';
import { DEFAULT_QUIESCE, type ImageFormat, type Quiesce } from './words.ts';

/** A wish for an image of a VM, from whichever API or schedule it came. */
export interface SnapshotRequest {
  /** UUID or name. */
  readonly vm: string;
  /** Needed only where several pools have a VM of that name. */
  readonly pool?: string;
  /** Name of the image; `<VM's name>-<time>` if absent. What Glance does not take of it is replaced, with a warning. */
  readonly name?: string;
  readonly quiesce?: Quiesce;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly maxSizeGib?: number;
  readonly detached?: boolean;
  /** Does not wait for the coalescer. */
  readonly force?: boolean;
  /** `vhd` if absent. */
  readonly format?: ImageFormat;
  /** Position of the disk to be imaged; the one that the VM boots from if absent. */
  readonly device?: string;
  /** One VHD, flattened by xapi, also where there is a chain of files to read. */
  readonly flatten?: boolean;
  /** Makes the image a backup, which replaces older ones. */
  readonly backup?: Backup;
  /** That a schedule asks, and from when until when the job may begin. It waits for a busy VM. */
  readonly scheduled?: ScheduledRun & { readonly startAfter: Date; readonly startBefore: Date };
  /** The new job's id, where somebody has put it on record before; the same id makes the same job. */
  readonly jobId?: string;
  /** The caller's project: the job and the image are its. */
  readonly project?: string;
  /** Who asks, for people and for the log. */
  readonly actor?: string;
  /** The VMs that the caller may touch; all if absent. */
  readonly allows?: (vm: VmRecord) => boolean;
  /** That the request must not act twice. */
  readonly idempotency?: Idempotency;
}

/** A request that comes again with the same key is answered with the same job, if it asks for the same. */
export interface Idempotency {
  /** Of the caller and of what the caller has called the request: no two callers have the same. */
  readonly key: string;
  /** Digest of all that is asked for. */
  readonly request: string;
}

/** Seconds for which an idempotency key is remembered: while the request is served, and once it has made a job. */
const KEY_SECONDS = { serving: 60, served: 86_400 };

/**
 * Starts a job, or finds the one that this request started before. Refuses what can be known beforehand, with an
 * error whose name says what it is: see ERROR_STATUS. Each write leaves a record before its effect, so that a
 * failure half-way is undone or found by the janitor.
 */
export async function requestSnapshot(
  wish: SnapshotRequest,
  runtime: Runtime,
): Promise<{ job: Job; created: boolean }> {
  const { store } = runtime;
  refuseUnusable(wish);
  const earlier = await jobOfKey(wish, runtime);
  if (earlier) return { job: earlier, created: false };
  const id = wish.jobId ?? randomUUID();
  // Before any pool is asked: who is refused costs little.
  await takePlace('jobs', wish.project, id, runtime);
  const { job, target, other } = await prepare(id, wish, runtime).catch(async (error: unknown) => {
    await giveBack('jobs', wish.project, id, runtime);
    throw error;
  });
  if (other) {
    await giveBack('jobs', wish.project, id, runtime);
    return { job: other, created: false };
  }
  try {
    if (!(await store.jobs.create(job)))
      return { job: (await store.jobs.get(job.id)) ?? job, created: false };
  } catch (error) {
    // It may be there all the same. The id of a scheduled one may be another tick's, whose job goes on.
    if (wish.jobId === undefined) await abandon(job, wish, error, runtime);
    throw translate(error);
  }
  try {
    // A scheduled job waits for its VM in TakeVm.
    if (!wish.scheduled) await takeVm(job, runtime);
    await begin(job, target, runtime);
    if (wish.idempotency)
      await store.leases.takeKey(wish.idempotency.key, job.id, runtime.clock.now(), KEY_SECONDS.served);
  } catch (error) {
    await abandon(job, wish, error, runtime);
    throw translate(error);
  }
  return { job: (await store.jobs.get(job.id)) ?? job, created: true };
}

/** The job as it is to be put on record; `other` is the one that another request with the key has made by now. */
async function prepare(id: string, wish: SnapshotRequest, runtime: Runtime) {
  const target = await findTarget(wish, runtime);
  const job = newJob(id, wish, target, runtime);
  return { job, target, other: await bindKey(wish, job, runtime) };
}

/** What no VM could make right. */
function refuseUnusable({ metadata = {}, backup, format, flatten }: SnapshotRequest): void {
  refuseReservedMetadata(metadata);
  refuseFlatRaw(format, flatten);
  // Two types must not become one on their way: each rotates by itself.
  if (backup) refuseUnfit('backup.type', backup.type);
}

/** @throws BadRequest where a raw image is to be flattened */
export function refuseFlatRaw(format: ImageFormat | undefined, flatten: boolean | undefined): void {
  if (flatten && format === 'raw')
    throw new XensnapError('BadRequest', 'flatten: a raw image is flat already; leave it out.');
}

/** The job that this request's key started before. */
async function jobOfKey(
  { idempotency }: SnapshotRequest,
  { store, clock }: Runtime,
): Promise<Job | undefined> {
  if (!idempotency) return undefined;
  const jobId = await store.leases.jobOfKey(idempotency.key, clock.now());
  const job = jobId === undefined ? undefined : await store.jobs.get(jobId);
  return job && ofSameRequest(job, idempotency);
}

/** Binds the request's key to the new job; answers the job that another request with the key has made by now. */
async function bindKey(
  { idempotency }: SnapshotRequest,
  job: Job,
  { store, clock }: Runtime,
): Promise<Job | undefined> {
  if (!idempotency) return undefined;
  const holder = await store.leases.takeKey(idempotency.key, job.id, clock.now(), KEY_SECONDS.serving);
  if (holder === job.id) return undefined;
  const other = await store.jobs.get(holder);
  if (other) return ofSameRequest(other, idempotency);
  throw new XensnapError(
    'IdempotencyConflict',
    'A request with this Idempotency-Key is being served. Try again.',
  );
}

/** @throws IdempotencyConflict where the key's job was asked for otherwise than now */
function ofSameRequest(job: Job, { request }: Idempotency): Job {
  if (job.requestDigest === request) return job;
  throw new XensnapError(
    'IdempotencyConflict',
    `This Idempotency-Key was used for another request, from which came the job ${job.id} of the VM "${job.vmName}". Send that request again, or another key.`,
    { details: { jobId: job.id } },
  );
}

/** The VM's lease is the flag "snapshot in progress": of many requests at once, one gets it. */
async function takeVm(job: Job, runtime: Runtime): Promise<void> {
  const { store, clock } = runtime;
  const take = () => store.leases.takeVm(job.pool, job.vmUuid, job.id, clock.now());
  let holder = await take();
  if (holder !== job.id && (await undoRefused(holder, runtime))) holder = await take();
  if (holder === job.id) return;
  const { message, details } = await whyHeld(job.vmName, holder, { store, now: clock.now() });
  throw new XensnapError('SnapshotInProgress', message, { details });
}

/** A request that was refused may not have been undone yet, because Glance was away: whoever comes next tries it. */
async function undoRefused(jobId: string, runtime: Runtime): Promise<boolean> {
  const job = await runtime.store.jobs.get(jobId);
  return job?.phase === 'Requested' && isFinished(job) && (await undo(job, runtime));
}

async function begin(
  job: Job,
  target: Target,
  { store, glance, executions, config }: Runtime,
): Promise<void> {
  await store.jobs.owe(job.id, 'image');
  try {
    await glance.createImage({
      id: job.id,
      name: job.request.name,
      ...imageFormat(job),
      visibility: 'private',
      ...(job.project !== undefined && config.imagesBelongTo === 'caller' && { owner: job.project }),
      properties: imageProperties(job, target.vm, config.installation),
    });
  } catch (error) {
    // Refused, or never sent: there is no image of ours to delete, and a Glance that wants another token, or is not
    // there, would not even do that.
    if ((error instanceof Error && REFUSALS.has(error.name)) || wasNeverSent(error))
      await store.jobs.pay(job.id, 'image');
    throw error;
  }
  await executions.start(job.id);
}

/** Errors which say that Glance did not do what it was asked to, or was not even asked. */
const REFUSALS: ReadonlySet<string> = new Set<ErrorName>([
  'GlanceBadRequest',
  'GlanceCertificateMismatch',
  'GlanceConflict',
  'GlanceForbidden',
  'GlanceNotFound',
  'GlanceTooLarge',
  'GlanceUnauthorized',
  'KeystoneUnauthorized',
  'KeystoneUnavailable',
]);

function newJob(id: string, wish: SnapshotRequest, target: Target, { clock, config }: Runtime): Job {
  const now = clock.now();
  const { vm } = target;
  const warnings = replacedTexts(wish);
  const request: JobRequest = {
    name: wish.name === undefined ? defaultName(vm.name_label, now) : glanceText(wish.name),
    quiesce: wish.quiesce ?? DEFAULT_QUIESCE,
    metadata: wish.metadata ?? {},
    ...(wish.maxSizeGib !== undefined && { maxSizeGib: wish.maxSizeGib }),
    detached: wish.detached ?? false,
    force: wish.force ?? false,
    ...(wish.format && { format: wish.format }),
    ...(wish.device !== undefined && { device: wish.device }),
    ...(wish.flatten && { flatten: true }),
    ...(wish.backup && { backup: wish.backup }),
  };
  return {
    id,
    status: 'starting',
    phase: 'Requested',
    request,
    ...(wish.project !== undefined && { project: wish.project }),
    ...(wish.actor !== undefined && { actor: wish.actor }),
    ...(wish.idempotency && { requestDigest: wish.idempotency.request }),
    ...(wish.scheduled && placeInTime(wish.scheduled)),
    pool: target.pool,
    vmUuid: vm.uuid,
    vmName: vm.name_label,
    device: target.device,
    virtualBytes: target.virtualBytes,
    ...(warnings.length > 0 && { warnings, warningsForAll: warnings }),
    xapiCalls: target.xapiCalls,
    createdAt: now.toISOString(),
    deadline: new Date(now.getTime() + config.timings.jobMaxSeconds * 1000).toISOString(),
  };
}

function placeInTime({
  scheduleId,
  nominal,
  startAfter,
  startBefore,
}: NonNullable<SnapshotRequest['scheduled']>) {
  return {
    run: { scheduleId, nominal },
    startAfter: startAfter.toISOString(),
    waitForVmUntil: startBefore.toISOString(),
  };
}

/** Undoes a request half-way: the job becomes terminal, never removed, so that an execution of it finds itself dead. */
async function abandon(job: Job, wish: SnapshotRequest, error: unknown, runtime: Runtime): Promise<void> {
  const { store, clock } = runtime;
  const ttl = expiryOf(clock.now(), runtime.config.retainJobsDays);
  await store.jobs.finish(job.id, {
    status: 'failed',
    error: asJobError(error),
    finishedAt: clock.now(),
    ttl,
  });
  if (wish.idempotency) await store.leases.releaseKey(wish.idempotency.key, job.id);
  await undo(job, runtime);
}

/** Takes away what a request has made that came to nothing. False where that fails: its debt stays on record. */
async function undo(job: Job, runtime: Runtime): Promise<boolean> {
  const { store, glance, log } = runtime;
  try {
    const now = await store.jobs.get(job.id);
    // Its execution was started after all: that finds itself dead, and undoes what it has done by then.
    if (now && now.phase !== 'Requested') return false;
    if (now?.debts?.has('image')) {
      await store.jobs.discard(job.id);
      await glance.deleteImage(job.id);
      await store.jobs.pay(job.id, 'image');
    }
    await store.leases.releaseVm(job.pool, job.vmUuid, job.id);
    await giveBack('jobs', job.project, job.id, runtime);
    await store.jobs.settle(job.id);
    return true;
  } catch (problem) {
    // The VM stays this job's until it is paid: by the next request for the VM, or by the janitor.
    const { message } = translate(problem);
    log.warn('a refused job is left for the janitor', { jobId: job.id, reason: message });
    await store.jobs.record(job.id, { owesBecause: message });
    return false;
  }
}

/** When the table may forget a job, in seconds since 1970. */
export function expiryOf(now: Date, days: number): number {
  return Math.floor(now.getTime() / 1000 + days * 86_400);
}

/**
 * Cancels a job: from now on it only cleans up. Throws JobNotFound, JobCommitted or JobFinished.
 * @param actor who wants that; the first one stays on record
 */
export async function cancelJob(jobId: string, runtime: Runtime, actor?: string): Promise<Job> {
  const { store, executions } = runtime;
  const cancelled = await store.jobs.cancel(jobId, actor);
  if (cancelled) {
    await executions.stop(jobId, 'cancelled by its caller');
    return cancelled;
  }
  const job = await store.jobs.get(jobId);
  if (!job) throw new XensnapError('JobNotFound', `There is no job ${jobId}.`);
  if (job.finishedAt !== undefined)
    throw new XensnapError('JobFinished', `The job ended ${job.status} at ${job.finishedAt}.`);
  throw new XensnapError('JobCommitted', 'The image is verified and stays; the job only tidies up now.');
}
