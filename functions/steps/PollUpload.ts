import { uploadWaitSeconds } from '../../statemachine/contract.ts';
import { taskError } from '../../xapi/errors.ts';
import { XensnapError } from '../errors.ts';
import type { Job } from '../job.ts';
import {
  pluginFailure,
  type UploadFailure,
  type UploadStatus,
  uploadError,
  uploadStatus,
} from '../pool/dom0.ts';
import { isHostAway, noteHostBack, refuseAfterLong } from '../pool/host-away.ts';
import { paySecret } from '../pool/secrets.ts';
import { forgetLostTask, forgetTask, taskRecord } from '../pool/tasks.ts';
import { type DepsOf, housekeeping, record, type StepDeps, secondsSince, step } from '../step.ts';
import { translate } from '../translate.ts';

/** Seconds after which an upload of which the plugin knows nothing counts as never begun. */
const BEGIN_SECONDS = 120;

/** Asks the plugin how the upload stands; what it says counts, for xapi's tasks do not outlive a restart of xapi. */
export const handler = step(
  'PollUpload',
  { needs: ['hostRef', 'uploadStartedAt', 'firstUploadAt', 'uploadAttempts'] },
  async (_state, deps) => {
    const { job, config } = deps;
    const { uploadMaxSeconds, uploadRetrySeconds, hostAwayPollSeconds } = config.timings;
    const told = await statusOf(deps);
    if (!told) return { next: 'wait', waitSeconds: Math.ceil(hostAwayPollSeconds) };
    const status = ofThisTry(job, told);
    await record(deps, progressOf(status));
    if (status.state === 'succeeded') {
      await conclude(deps, status);
      return { next: 'done', waitSeconds: 1 };
    }
    const failure = await failureOf(deps, status);
    const startedAt = job.uploadStartedAt;
    if (failure) {
      if (job.uploadTask !== undefined) await forgetTask(deps, job.uploadTask);
      if (failure.code === 'CHAIN_CHANGED') return coalesceFirst(deps, status, failure);
      if (failure.code === 'GLANCE_UNAUTHORIZED' && (job.tokenRefused ?? startedAt) === startedAt) {
        await record(deps, { tokenRefused: startedAt });
        deps.log.warn('Glance did not take the token; the next try has a new one', {
          reason: failure.message,
        });
        return { next: 'again', waitSeconds: Math.ceil(uploadRetrySeconds) };
      }
      const uncounted = (job.chainChanges ?? 0) + (job.tokenRefused === undefined ? 0 : 1);
      const attempts = job.uploadAttempts - uncounted;
      if (!failure.retryable || attempts >= config.uploadAttempts) throw uploadError(failure);
      deps.log.warn('the upload failed and is tried again', { reason: failure.message });
      return { next: 'again', waitSeconds: Math.ceil(uploadRetrySeconds) };
    }
    const elapsed = secondsSince(deps, job.firstUploadAt);
    if (elapsed > uploadMaxSeconds)
      throw new XensnapError(
        'TimedOut',
        `The upload took longer than ${Math.round(uploadMaxSeconds / 3600)} hours.`,
      );
    return { next: 'wait', waitSeconds: uploadWaitSeconds(status.etaSeconds ?? 0, elapsed, config.timings) };
  },
);

/** What the plugin says; undefined while its host is away, for which the job is not ended at once. */
async function statusOf(deps: DepsOf<'PollUpload', 'hostRef'>): Promise<UploadStatus | undefined> {
  const { job, xapi } = deps;
  try {
    const status = await uploadStatus(xapi, job.hostRef, job.id);
    await noteHostBack(deps);
    return status;
  } catch (error) {
    if (!isHostAway(error)) throw error;
    await refuseAfterLong(deps, error);
    return undefined;
  }
}

/** Changes of the chain that are answered by reading it again; then xapi exports the disk, which holds still. */
const MAX_CHAIN_CHANGES = 2;

/**
 * The coalescer was at work on the chain: the next try waits for it, as the first did. Such a try does not count among
 * those that Glance or the storage made fail.
 */
async function coalesceFirst(
  { job, store, clock, log, config }: DepsOf<'PollUpload'>,
  { run }: UploadStatus,
  { message }: UploadFailure,
): Promise<{ next: 'coalesce'; waitSeconds: number }> {
  const isNew = run == null || run !== job.chainChangedAttempt;
  const chainChanges = (job.chainChanges ?? 0) + (isNew ? 1 : 0);
  const readsChain = chainChanges < MAX_CHAIN_CHANGES;
  await store.jobs.record(job.id, {
    chainChanges,
    chainChangedAttempt: run ?? undefined,
    chainChangedAt: clock.now().toISOString(),
    ...(!readsChain && { readsChain }),
  });
  log.warn('the chain changed while it was read', { reason: message, chainChanges });
  if (isNew && !readsChain) {
    const warning = `The disk's chain changed ${chainChanges} times while it was read, so that the image is one file, flattened by xapi.`;
    await store.jobs.warn(job.id, warning, warning);
  }
  return { next: 'coalesce', waitSeconds: Math.ceil(config.timings.coalescePollSeconds) };
}

/** The status of this try: until the plugin has begun anew, it still tells how the try before ended. */
function ofThisTry(job: Job, status: UploadStatus): UploadStatus {
  const isEarlier = status.run != null && status.run === job.earlierAttempt;
  return isEarlier && status.state !== 'succeeded' ? { state: 'unknown' } : status;
}

function progressOf({ source, bytesRead, bytesSent, bytesTotal, etaSeconds }: UploadStatus) {
  return {
    uploadSource: source ?? undefined,
    bytesRead: bytesRead ?? undefined,
    bytesSent: bytesSent ?? undefined,
    bytesTotal: bytesTotal ?? undefined,
    etaSeconds: etaSeconds ?? undefined,
  };
}

async function failureOf(
  deps: StepDeps<never, 'uploadStartedAt'>,
  status: UploadStatus,
): Promise<UploadFailure | undefined> {
  if (status.state === 'running') return undefined;
  if (status.state === 'unknown') return failureBeforeBegin(deps);
  if (status.state === 'cancelled')
    return { code: 'CANCELLED', message: 'the upload was cancelled on the host', retryable: false };
  return status.error ?? { code: 'INTERNAL', message: 'the plugin gave no reason', retryable: false };
}

/** What a call of the plugin may fail with without a fault of anybody's: the pool or the host was not ready. */
const PASSING: readonly string[] = ['XapiBusy', 'XapiFailure'];

/** The plugin knows nothing of the upload: its task may say why. */
async function failureBeforeBegin(
  deps: StepDeps<never, 'uploadStartedAt'>,
): Promise<UploadFailure | undefined> {
  const { job, xapi } = deps;
  const task = job.uploadTask && (await taskRecord(xapi, job.uploadTask));
  if (task?.status === 'failure' || task?.status === 'cancelled') {
    const error = taskError(task);
    const failure = pluginFailure(error);
    if (failure) return failure;
    const { name, message } = translate(error);
    // The task has ended so and says the same each time: another upload may go better, another look would not.
    if (!PASSING.includes(name)) throw error;
    return { code: error.code, message, retryable: true };
  }
  if (secondsSince(deps, job.uploadStartedAt) < BEGIN_SECONDS) return undefined;
  return { code: 'NEVER_BEGUN', message: 'the host never began it', retryable: true };
}

/** The plugin has ended: what it found goes on record, and task, secret and debt go. */
async function conclude(deps: DepsOf<'PollUpload'>, { result }: UploadStatus): Promise<void> {
  const { job, store, metrics } = deps;
  if (!result) throw new XensnapError('PluginFailure', 'The plugin says it succeeded, but not with what.');
  if (job.uploadTask !== undefined) await forgetTask(deps, job.uploadTask);
  else await forgetLostTask(deps, 'Async.host.call_plugin', job.id);
  await housekeeping(deps.log, "the upload's secret", () => paySecret(deps));
  await store.jobs.pay(job.id, 'plugin', {
    sha512: result.sha512,
    uploadSource: result.source,
    imageBytes: result.bytesSent,
    vhds: result.vhds,
    bytesSent: result.bytesSent,
    bytesRead: result.bytesRead,
    bytesTotal: result.bytesRead,
    etaSeconds: 0,
  });
  for (const warning of result.warnings) await store.jobs.warn(job.id, warning);
  metrics.bytes('BytesSent', result.bytesSent);
}
