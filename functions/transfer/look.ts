import { uploadWaitSeconds } from '../../statemachine/contract.ts';
import { taskError } from '../../xapi/errors.ts';
import { XensnapError } from '../errors.ts';
import type { Job } from '../job.ts';
import { pluginFailure, type TransferFailure, type TransferStatus } from '../pool/dom0.ts';
import { isHostAway, noteHostBack, refuseAfterLong } from '../pool/host-away.ts';
import { paySecret } from '../pool/secrets.ts';
import { forgetLostTask, forgetTask, taskRecord } from '../pool/tasks.ts';
import { housekeeping, record, type StepDeps, secondsSince } from '../step.ts';
import { translate } from '../translate.ts';

/** Seconds after which a transfer of which the plugin knows nothing counts as never begun. */
const BEGIN_SECONDS = 120;

type Began = 'uploadStartedAt' | 'firstUploadAt' | 'uploadAttempts';

/** What the plugin says; undefined while its host is away, for which the job is not ended at once. */
export async function statusOf<S extends TransferStatus>(
  deps: StepDeps<'hostAwaySince'>,
  ask: () => Promise<S>,
): Promise<S | undefined> {
  try {
    const status = await ask();
    await noteHostBack(deps);
    return ofThisTry(deps.job, status);
  } catch (error) {
    if (!isHostAway(error)) throw error;
    await refuseAfterLong(deps, error);
    return undefined;
  }
}

/** The status of this try: until the plugin has begun anew, it still tells how the try before ended. */
function ofThisTry<S extends TransferStatus>(job: Job, status: S): S {
  const isEarlier = status.run != null && status.run === job.earlierAttempt;
  return isEarlier && status.state !== 'succeeded' ? ({ state: 'unknown' } as S) : status;
}

/** Of what the transfer has failed; undefined while it is under way. */
export async function failureOf(
  deps: StepDeps<never, 'uploadStartedAt'>,
  status: TransferStatus,
): Promise<TransferFailure | undefined> {
  if (status.state === 'running') return undefined;
  if (status.state === 'unknown') return failureBeforeBegin(deps);
  if (status.state === 'cancelled')
    return { code: 'CANCELLED', message: 'it was cancelled on the host', retryable: false };
  return status.error ?? { code: 'INTERNAL', message: 'the plugin gave no reason', retryable: false };
}

/** What a call of the plugin may fail with without a fault of anybody's: the pool or the host was not ready. */
const PASSING: readonly string[] = ['XapiBusy', 'XapiFailure'];

/** The plugin knows nothing of it: its task may say why. */
async function failureBeforeBegin(
  deps: StepDeps<never, 'uploadStartedAt'>,
): Promise<TransferFailure | undefined> {
  const { job, xapi } = deps;
  const task = job.uploadTask && (await taskRecord(xapi, job.uploadTask));
  if (task?.status === 'failure' || task?.status === 'cancelled') {
    const error = taskError(task);
    const failure = pluginFailure(error);
    if (failure) return failure;
    const { name, message } = translate(error);
    // The task has ended so and says the same each time: another try may go better, another look would not.
    if (!PASSING.includes(name)) throw error;
    return { code: error.code, message, retryable: true };
  }
  if (secondsSince(deps, job.uploadStartedAt) < BEGIN_SECONDS) return undefined;
  return { code: 'NEVER_BEGUN', message: 'the host never began it', retryable: true };
}

/**
 * Decides whether a failed try is followed by another, and answers that it is.
 * @param uncounted tries that have failed without counting among those that there may be
 * @throws what `errorOf` makes of a failure that no other try would mend, or that was the last
 */
export async function tryAgain(
  deps: StepDeps<'tokenRefused', Began>,
  failure: TransferFailure,
  errorOf: (failure: TransferFailure) => XensnapError,
  uncounted = 0,
): Promise<{ next: 'again'; waitSeconds: number }> {
  const { job, config, log } = deps;
  const again = { next: 'again', waitSeconds: Math.ceil(config.timings.uploadRetrySeconds) } as const;
  const startedAt = job.uploadStartedAt;
  if (failure.code === 'GLANCE_UNAUTHORIZED' && (job.tokenRefused ?? startedAt) === startedAt) {
    await record(deps, { tokenRefused: startedAt });
    log.warn('Glance did not take the token; the next try has a new one', { reason: failure.message });
    return again;
  }
  const attempts = job.uploadAttempts - uncounted - (job.tokenRefused === undefined ? 0 : 1);
  if (!failure.retryable || attempts >= config.uploadAttempts) throw errorOf(failure);
  log.warn('the transfer failed and is tried again', { reason: failure.message });
  return again;
}

/** How long to wait for the next look. @throws TimedOut after the longest that a transfer may take */
export function waitOn(
  deps: StepDeps<never, Began>,
  what: 'upload' | 'download',
  { etaSeconds }: TransferStatus,
): { next: 'wait'; waitSeconds: number } {
  const { timings } = deps.config;
  const elapsed = secondsSince(deps, deps.job.firstUploadAt);
  if (elapsed > timings.uploadMaxSeconds)
    throw new XensnapError(
      'TimedOut',
      `The ${what} took longer than ${Math.round(timings.uploadMaxSeconds / 3600)} hours.`,
    );
  return { next: 'wait', waitSeconds: uploadWaitSeconds(etaSeconds ?? 0, elapsed, timings) };
}

/** The plugin has ended well: the record of its task goes, and the secret, which it has destroyed itself if it could. */
export async function forgetTransfer(deps: StepDeps): Promise<void> {
  const { job, log } = deps;
  if (job.uploadTask !== undefined) await forgetTask(deps, job.uploadTask);
  else await forgetLostTask(deps, 'Async.host.call_plugin', job.id);
  await housekeeping(log, "the transfer's secret", () => paySecret(deps));
}
