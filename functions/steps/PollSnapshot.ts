import { taskError, type XapiError } from '../../xapi/errors.ts';
import { XensnapError } from '../errors.ts';
import { uuidsOf } from '../pool/destroy.ts';
import { failureOfDisk } from '../pool/failed-disk.ts';
import { removeHalfMade } from '../pool/half-made.ts';
import { untag } from '../pool/tags.ts';
import { forgetLostTask, forgetTask, taskRecord } from '../pool/tasks.ts';
import { disksOf, findTemplate, type Template } from '../pool/template.ts';
import { type DepsOf, mayArrive, type SnapshotDeps, step } from '../step.ts';
import { isStorageFull, translate } from '../translate.ts';
import { isQuiesced, noteFallback, snapshotCall } from './StartSnapshot.ts';

/** Looks whether the snapshot is there, and puts template and disks on record before anything else. */
export const handler = step('PollSnapshot', { needs: ['vmRef', 'taggedDisks'] }, async (_state, deps) => {
  const { job, config } = deps;
  const waitSeconds = Math.ceil(config.timings.snapshotPollSeconds);
  if (job.templateRef !== undefined) {
    await takeTagsOff(deps);
    return { next: 'done', waitSeconds };
  }
  // An earlier run of this step has taken the failed call back, and its result was lost.
  if (job.snapshotSentAt === undefined) return { next: 'again', waitSeconds };
  const task = job.snapshotTask && (await taskRecord(deps.xapi, job.snapshotTask));
  if (task?.status === 'pending' || task?.status === 'cancelling') return { next: 'wait', waitSeconds };
  if (task?.status === 'failure' || task?.status === 'cancelled') return afterFailure(deps, taskError(task));
  const template = await findTemplate(deps.xapi, job, config.installation);
  if (!template) {
    await refuseIfLost(deps, job.snapshotSentAt);
    return { next: 'wait', waitSeconds };
  }
  await adopt(deps, template);
  await takeTagsOff(deps);
  return { next: 'done', waitSeconds };
});

/** Puts the template on record; the task that made it is forgotten, so that its reference need not stay there. */
async function adopt(deps: DepsOf<'PollSnapshot'>, { ref, record: vm }: Template): Promise<void> {
  const { xapi, job, store } = deps;
  const snapshotDisks = await uuidsOf(xapi, await disksOf(xapi, ref, job.device));
  const quiesced =
    vm.snapshot_info['disk-snapshot-type'] === 'quiesced' || vm.transportable_snapshot_id !== '';
  const facts = {
    templateRef: ref,
    templateUuid: vm.uuid,
    snapshotDisks,
    consistency: quiesced && job.quiesceFailure === undefined ? 'quiesced' : 'crash-consistent',
  } as const;
  const forgotten = job.snapshotTask !== undefined && (await forgetTask(deps, job.snapshotTask));
  await store.jobs.record(job.id, facts, forgotten ? ['snapshotTask'] : []);
  if (job.snapshotTask === undefined) await forgetLostTask(deps, snapshotCall(job), ref);
}

/**
 * Takes the tags off the VM again, so that no snapshot of an operator's inherits them. Housekeeping: RelockVm takes off
 * what could not be here.
 */
async function takeTagsOff({ job, xapi, log }: SnapshotDeps<never, 'vmRef' | 'taggedDisks'>): Promise<void> {
  try {
    await untag(xapi, { ref: job.vmRef, uuid: job.vmUuid }, job.taggedDisks, job.id);
  } catch (error) {
    log.warn('the tags could not be taken off the VM yet', { reason: String(error) });
  }
}

/** Neither task nor template: the call may still be under way, or may never have arrived. */
async function refuseIfLost(deps: SnapshotDeps<never, 'vmRef'>, sentAt: string): Promise<void> {
  const { job, xapi } = deps;
  const operations = await xapi.call('VM.get_current_operations', job.vmRef);
  if (Object.values(operations).some((operation) => operation.startsWith('snapshot'))) return;
  if (mayArrive(deps, sentAt)) return;
  throw new XensnapError(
    'SnapshotLost',
    'The pool never confirmed the snapshot, and no snapshot of this job is to be found.',
  );
}

async function afterFailure(
  deps: DepsOf<'PollSnapshot', 'vmRef'>,
  error: XapiError,
): Promise<{ next: 'again'; waitSeconds: number }> {
  const { job } = deps;
  const ofDisk = await failureOfDisk(deps.xapi, job.vmRef, error, job.device);
  if (!isQuiesced(job)) {
    if (await mayTryAgain(deps, error))
      return sendAgain(deps, { snapshotRetries: (job.snapshotRetries ?? 0) + 1 });
    if (ofDisk) throw ofDisk;
    if (isStorageFull(error) || BY_STORAGE.has(error.code)) throw error;
    throw new XensnapError('SnapshotFailed', `The snapshot failed: ${error.message}`, { cause: error });
  }
  await removeHalfMade(deps, job.vmRef);
  if (job.request.quiesce === 'require') throw ofDisk ?? quiesceError(error);
  await noteFallback(deps, `the quiesced snapshot failed with ${error.code}`);
  return sendAgain(deps);
}

/** How often a snapshot is sent again whose task failed of what passes. xapi itself has waited for two hours by then. */
const MOST_RETRIES = 3;
const RETRY_SECONDS = 5;

/** A failure that passes by itself, and of which a look proves that it has made nothing. */
async function mayTryAgain(
  { job, xapi, config, wait }: DepsOf<'PollSnapshot', 'vmRef'>,
  error: XapiError,
): Promise<boolean> {
  const passes = error.code === 'INTERNAL_ERROR' || translate(error).name === 'XapiBusy';
  if (!passes || (job.snapshotRetries ?? 0) >= MOST_RETRIES) return false;
  if (await findTemplate(xapi, job, config.installation)) return false;
  await wait(RETRY_SECONDS);
  return true;
}

/** Takes back that the snapshot call was sent, since it is proved to have come to nothing. */
async function sendAgain(
  deps: DepsOf<'PollSnapshot', 'vmRef'>,
  facts: { snapshotRetries?: number } = {},
): Promise<{ next: 'again'; waitSeconds: number }> {
  const { job, store, config } = deps;
  // The last that is needed of the task: a step that is tried again must find once more how it ended.
  if (job.snapshotTask !== undefined) await forgetTask(deps, job.snapshotTask);
  await store.jobs.record(job.id, facts, ['snapshotSentAt', 'snapshotTask']);
  return { next: 'again', waitSeconds: Math.ceil(config.timings.snapshotPollSeconds) };
}

/** Failures that already have a name and a text of their own. */
const BY_STORAGE = new Set(['SR_BACKEND_FAILURE_109', 'RBAC_PERMISSION_DENIED']);

function quiesceError(error: XapiError): XensnapError {
  const unsupported =
    error.code === 'VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED' || error.code === 'VM_BAD_POWER_STATE';
  return new XensnapError(
    unsupported ? 'QuiesceNotSupported' : 'QuiesceFailed',
    unsupported
      ? `The guest can't be quiesced: ${error.message}. Its VSS provider must be installed and running.`
      : `Quiescing the guest failed: ${error.message}`,
    { cause: error },
  );
}
