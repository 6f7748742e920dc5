import { XensnapError } from '../errors.ts';
import { type TransferFailure, type UploadStatus, uploadError, uploadStatus } from '../pool/dom0.ts';
import { forgetTask } from '../pool/tasks.ts';
import { type DepsOf, record, step } from '../step.ts';
import { failureOf, forgetTransfer, statusOf, tryAgain, waitOn } from '../transfer/look.ts';

/** Asks the plugin how the upload stands; what it says counts, for xapi's tasks do not outlive a restart of xapi. */
export const handler = step(
  'PollUpload',
  { needs: ['hostRef', 'uploadStartedAt', 'firstUploadAt', 'uploadAttempts'] },
  async (_state, deps) => {
    const { job, xapi, config } = deps;
    const status = await statusOf(deps, () => uploadStatus(xapi, job.hostRef, job.id));
    if (!status) return { next: 'wait', waitSeconds: Math.ceil(config.timings.hostAwayPollSeconds) };
    await record(deps, progressOf(status));
    if (status.state === 'succeeded') {
      await conclude(deps, status);
      return { next: 'done', waitSeconds: 1 };
    }
    const failure = await failureOf(deps, status);
    if (!failure) return waitOn(deps, 'upload', status);
    if (job.uploadTask !== undefined) await forgetTask(deps, job.uploadTask);
    if (failure.code === 'CHAIN_CHANGED') return coalesceFirst(deps, status, failure);
    return tryAgain(deps, failure, uploadError, job.chainChanges);
  },
);

/** Changes of the chain that are answered by reading it again; then xapi exports the disk, which holds still. */
const MAX_CHAIN_CHANGES = 2;

/**
 * The coalescer was at work on the chain: the next try waits for it, as the first did. Such a try does not count among
 * those that Glance or the storage made fail.
 */
async function coalesceFirst(
  { job, store, clock, log, config }: DepsOf<'PollUpload'>,
  { run }: UploadStatus,
  { message }: TransferFailure,
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

function progressOf({ source, bytesRead, bytesSent, bytesTotal, etaSeconds }: UploadStatus) {
  return {
    uploadSource: source ?? undefined,
    bytesRead: bytesRead ?? undefined,
    bytesSent: bytesSent ?? undefined,
    bytesTotal: bytesTotal ?? undefined,
    etaSeconds: etaSeconds ?? undefined,
  };
}

/** The plugin has ended: what it found goes on record, and task, secret and debt go. */
async function conclude(deps: DepsOf<'PollUpload'>, { result }: UploadStatus): Promise<void> {
  const { job, store, metrics } = deps;
  if (!result) throw new XensnapError('PluginFailure', 'The plugin says it succeeded, but not with what.');
  await forgetTransfer(deps);
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
