import { XensnapError } from '../errors.ts';
import { isAlmostFull } from '../pool/choose-sr.ts';
import { type DownloadStatus, downloadError, downloadStatus, type TransferFailure } from '../pool/dom0.ts';
import { forgetTask } from '../pool/tasks.ts';
import { type DepsOf, housekeeping, record, step } from '../step.ts';
import { failureOf, forgetTransfer, statusOf, tryAgain, waitOn } from '../transfer/look.ts';
import { stopTransfer } from '../transfer/stop.ts';
import { readVmConfig } from '../vm-config.ts';

/** Asks the plugin how the download stands; what it says counts, for xapi's tasks do not outlive a restart of xapi. */
export const handler = step(
  'PollDownload',
  { needs: ['hostRef', 'hostUuid', 'srRef', 'uploadStartedAt', 'firstUploadAt', 'uploadAttempts'] },
  async (_state, deps) => {
    const { job, xapi, config } = deps;
    const status = await statusOf(deps, () => downloadStatus(xapi, job.hostRef, job.id));
    if (!status) return { next: 'wait', waitSeconds: Math.ceil(config.timings.hostAwayPollSeconds) };
    await record(deps, progressOf(status));
    if (status.state === 'succeeded') {
      await conclude(deps, status);
      return { next: job.into ? 'swap' : 'done', waitSeconds: 1 };
    }
    const failure = await failureOf(deps, status);
    if (!failure) return waitOn(deps, 'download', status);
    if (failure.code === 'HOST_DISABLED') return leaveHost(deps, failure);
    if (job.uploadTask !== undefined) await forgetTask(deps, job.uploadTask);
    // Each host that was left had one try that nobody could help.
    const moves = job.hostsLeft?.length ?? 0;
    return tryAgain(deps, await asOfStorage(deps, failure), downloadError, moves);
  },
);

/**
 * The host is wanted free: another one goes on, once this one has nothing of the disk any more and will begin nothing
 * that was asked of it and may still come.
 * @throws RestoreFailed where it does not let go
 */
async function leaveHost(
  deps: DepsOf<'PollDownload', 'hostUuid'>,
  failure: TransferFailure,
): Promise<{ next: 'elsewhere'; waitSeconds: number }> {
  const { job, store, log } = deps;
  await record(deps, { hostsLeft: [...new Set([...(job.hostsLeft ?? []), job.hostUuid])] });
  await stopTransfer(deps).catch((error: Error) => {
    throw error.name === 'StillOwed' ? downloadError(failure) : error;
  });
  // Of a host that has been away for too long, it is still owed.
  if ((await store.jobs.restore(job.id))?.debts?.has('plugin')) throw downloadError(failure);
  log.warn('the host is being disabled; another one goes on', { host: job.hostUuid });
  return { next: 'elsewhere', waitSeconds: 1 };
}

/**
 * A thin SR that is full shows in dom0 as a failure to write, and nobody says why: whether there is room left does. With
 * none, no other try would do better.
 */
async function asOfStorage(
  { job, xapi, log }: DepsOf<'PollDownload', 'srRef'>,
  failure: TransferFailure,
): Promise<TransferFailure> {
  if (failure.code !== 'SR_IO_ERROR') return failure;
  let full = false;
  await housekeeping(log, 'how much room the SR has', async () => {
    await xapi.call('SR.scan', job.srRef);
    full = isAlmostFull(await xapi.call('SR.get_record', job.srRef));
  });
  if (!full) return failure;
  return { code: 'SR_FULL', message: `no room is left on the SR: ${failure.message}`, retryable: false };
}

function progressOf({ bytesRead, bytesTotal, bytesWritten, etaSeconds }: DownloadStatus) {
  return {
    bytesRead: bytesRead ?? undefined,
    bytesTotal: bytesTotal ?? undefined,
    bytesWritten: bytesWritten ?? undefined,
    etaSeconds: etaSeconds ?? undefined,
  };
}

/**
 * The disk is written, flushed, and out of dom0's hands: task, secret and debt go. What the bundle itself says of its VM
 * is whole and is held by the image's hash, so that it counts before the image's property, which is short.
 */
async function conclude(deps: DepsOf<'PollDownload'>, { result }: DownloadStatus): Promise<void> {
  const { job, store } = deps;
  if (!result) throw new XensnapError('PluginFailure', 'The plugin says it succeeded, but not with what.');
  await forgetTransfer(deps);
  const whole = typeof result.vmConfig === 'string' ? readVmConfig(result.vmConfig) : undefined;
  await store.jobs.pay(job.id, 'plugin', {
    ...(whole && { vmConfig: JSON.stringify(whole) }),
    bytesRead: result.bytesRead,
    bytesTotal: result.bytesRead,
    bytesWritten: result.bytesWritten,
    etaSeconds: 0,
  });
  for (const warning of result.warnings) await store.jobs.warn(job.id, warning);
}
