import { uploadWaitSeconds } from '../../statemachine/contract.ts';
import { isCode, taskError } from '../../xapi/errors.ts';
import { pluginFailure, type UploadFailure, type UploadStatus, uploadError, uploadStatus } from '../dom0.ts';
import { XensnapError } from '../errors.ts';
import type { Job } from '../job.ts';
import { known } from '../known.ts';
import { destroySecret } from '../secrets.ts';
import { record, type StepDeps, secondsSince, step } from '../step.ts';
import { forgetLostTask, forgetTask } from '../tasks.ts';

/** Seconds after which an upload of which the plugin knows nothing counts as never begun. */
const BEGIN_SECONDS = 120;

/** Asks the plugin how the upload stands; what it says counts, for xapi's tasks do not outlive a restart of xapi. */
export const handler = step('PollUpload', async (_state, deps) => {
  const { job, xapi, config } = deps;
  const { uploadMaxSeconds, uploadRetrySeconds } = config.timings;
  const status = ofThisTry(job, await uploadStatus(xapi, known(job, 'hostRef'), job.id));
  await record(deps, progressOf(status));
  if (status.state === 'succeeded') {
    await conclude(deps, status);
    return { next: 'done', waitSeconds: 1 };
  }
  const failure = await failureOf(deps, status);
  if (failure) {
    if (job.uploadTask !== undefined) await forgetTask(xapi, job.uploadTask);
    if (!failure.retryable || (job.uploadAttempts ?? 1) >= config.uploadAttempts) throw uploadError(failure);
    deps.log.warn('the upload failed and is tried again', { reason: failure.message });
    return { next: 'again', waitSeconds: Math.ceil(uploadRetrySeconds) };
  }
  const elapsed = secondsSince(deps, job.firstUploadAt ?? known(job, 'uploadStartedAt'));
  if (elapsed > uploadMaxSeconds)
    throw new XensnapError(
      'TimedOut',
      `The upload took longer than ${Math.round(uploadMaxSeconds / 3600)} hours.`,
    );
  return { next: 'wait', waitSeconds: uploadWaitSeconds(status.etaSeconds ?? 0, elapsed, config.timings) };
});

/** Until the plugin has begun anew, it still tells how the try before ended. */
function ofThisTry(job: Job, status: UploadStatus): UploadStatus {
  const isEarlier = status.run != null && status.run === job.earlierRun;
  return isEarlier && status.state !== 'succeeded' ? { state: 'unknown' } : status;
}

function progressOf({ bytesRead, bytesSent, bytesTotal, etaSeconds }: UploadStatus) {
  return {
    bytesRead: bytesRead ?? undefined,
    bytesSent: bytesSent ?? undefined,
    bytesTotal: bytesTotal ?? undefined,
    etaSeconds: etaSeconds ?? undefined,
  };
}

async function failureOf(deps: StepDeps, status: UploadStatus): Promise<UploadFailure | undefined> {
  if (status.state === 'running') return undefined;
  if (status.state === 'unknown') return failureBeforeBegin(deps);
  if (status.state === 'cancelled')
    return { code: 'CANCELLED', message: 'the upload was cancelled on the host', retryable: false };
  return status.error ?? { code: 'INTERNAL', message: 'the plugin gave no reason', retryable: false };
}

/** The plugin knows nothing of the upload: its task may say why. */
async function failureBeforeBegin(deps: StepDeps): Promise<UploadFailure | undefined> {
  const { job, xapi } = deps;
  try {
    const task = job.uploadTask && (await xapi.call('task.get_record', job.uploadTask));
    if (task?.status === 'failure' || task?.status === 'cancelled') {
      const error = taskError(task);
      const failure = pluginFailure(error);
      if (failure) return failure;
      throw error;
    }
  } catch (error) {
    if (!isCode(error, 'HANDLE_INVALID')) throw error;
  }
  if (secondsSince(deps, known(job, 'uploadStartedAt')) < BEGIN_SECONDS) return undefined;
  return { code: 'NEVER_BEGUN', message: 'the host never began it', retryable: true };
}

/** The plugin has ended: what it found goes on record, and task, secret and debt go. */
async function conclude(deps: StepDeps, { result }: UploadStatus): Promise<void> {
  const { job, xapi, store, metrics } = deps;
  if (!result) throw new XensnapError('PluginFailure', 'The plugin says it succeeded, but not with what.');
  if (job.uploadTask !== undefined) await forgetTask(xapi, job.uploadTask);
  else await forgetLostTask(deps, 'Async.host.call_plugin', job.id);
  if (job.secretUuid !== undefined) await destroySecret(xapi, job.secretUuid);
  await store.jobs.pay(job.id, 'secret');
  await store.jobs.pay(job.id, 'plugin', {
    sha512: result.sha512,
    imageBytes: result.bytesSent,
    vhds: result.vhds,
    bytesSent: result.bytesSent,
    bytesRead: result.bytesRead,
    bytesTotal: result.bytesRead,
    etaSeconds: 0,
  });
  metrics.bytes('BytesSent', result.bytesSent);
}
