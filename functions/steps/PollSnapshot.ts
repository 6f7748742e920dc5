import { isCode, taskError, type XapiError } from '../../xapi/errors.ts';
import type { Ref, TaskRecord } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { removeHalfMade } from '../half-made.ts';
import { known } from '../known.ts';
import { record, type StepDeps, secondsSince, step } from '../step.ts';
import { untag } from '../tags.ts';
import { forgetLostTask, forgetTask } from '../tasks.ts';
import { disksOf, findTemplate, type Template } from '../template.ts';
import { noteFallback } from './StartSnapshot.ts';

/** Looks whether the snapshot is there, and puts template and disks on record before anything else. */
export const handler = step('PollSnapshot', async (_state, deps) => {
  const { job, config } = deps;
  const waitSeconds = Math.ceil(config.timings.snapshotPollSeconds);
  if (job.templateRef !== undefined) {
    await tidy(deps, job.templateRef);
    return { next: 'done', waitSeconds };
  }
  const task = await taskRecord(deps);
  if (task?.status === 'pending' || task?.status === 'cancelling') return { next: 'wait', waitSeconds };
  if (task?.status === 'failure' || task?.status === 'cancelled') return afterFailure(deps, taskError(task));
  const template = await findTemplate(deps.xapi, job, config.installation);
  if (!template) {
    await refuseIfLost(deps);
    return { next: 'wait', waitSeconds };
  }
  await adopt(deps, template);
  await tidy(deps, template.ref);
  return { next: 'done', waitSeconds };
});

/** The task of the snapshot call; undefined when its reply was lost, or when xapi has forgotten it. */
async function taskRecord({ job, xapi }: StepDeps): Promise<TaskRecord | undefined> {
  if (job.snapshotTask === undefined) return undefined;
  try {
    return await xapi.call('task.get_record', job.snapshotTask);
  } catch (error) {
    // xapi forgets tasks after an hour, and all pending ones when it restarts.
    if (isCode(error, 'HANDLE_INVALID')) return undefined;
    throw error;
  }
}

async function adopt(deps: StepDeps, { ref, record: vm }: Template): Promise<void> {
  const { xapi, job } = deps;
  const diskRefs = await disksOf(xapi, ref);
  const snapshotDisks = await Promise.all(diskRefs.map((vdiRef) => xapi.call('VDI.get_uuid', vdiRef)));
  const quiesced =
    vm.snapshot_info['disk-snapshot-type'] === 'quiesced' || vm.transportable_snapshot_id !== '';
  await record(deps, {
    templateRef: ref,
    templateUuid: vm.uuid,
    snapshotDisks,
    consistency: quiesced && job.quiesceFailure === undefined ? 'quiesced' : 'crash-consistent',
  });
}

/** Takes the tags off the VM again, so that no snapshot of an operator's inherits them, and forgets the task. */
async function tidy(deps: StepDeps, templateRef: Ref<'VM'>): Promise<void> {
  const { xapi, job } = deps;
  await untag(xapi, known(job, 'vmRef'), job.taggedDisks ?? []);
  if (job.snapshotTask !== undefined) await forgetTask(xapi, job.snapshotTask);
  else await forgetLostTask(deps, 'Async.VM.snapshot', templateRef);
}

/** Neither task nor template: the call may still be under way, or may never have arrived. */
async function refuseIfLost({ job, xapi, config, ...deps }: StepDeps): Promise<void> {
  const operations = await xapi.call('VM.get_current_operations', known(job, 'vmRef'));
  if (Object.values(operations).some((operation) => operation.startsWith('snapshot'))) return;
  if (secondsSince(deps, known(job, 'snapshotSentAt')) < config.timings.snapshotLostSeconds) return;
  throw new XensnapError(
    'SnapshotLost',
    'The pool never confirmed the snapshot, and no snapshot of this job is to be found.',
  );
}

async function afterFailure(
  deps: StepDeps,
  error: XapiError,
): Promise<{ next: 'again'; waitSeconds: number }> {
  const { job, store, config } = deps;
  if (job.snapshotTask !== undefined) await forgetTask(deps.xapi, job.snapshotTask);
  const quiesced = job.request.quiesce !== 'never' && job.quiesceFailure === undefined;
  if (!quiesced) {
    if (BY_STORAGE.has(error.code)) throw error;
    throw new XensnapError('SnapshotFailed', `The snapshot failed: ${error.message}`, { cause: error });
  }
  await removeHalfMade(deps);
  if (job.request.quiesce === 'require') throw quiesceError(error);
  await noteFallback(deps, `the quiesced snapshot failed with ${error.code}`);
  await store.jobs.record(job.id, {}, ['snapshotSentAt', 'snapshotTask']);
  return { next: 'again', waitSeconds: Math.ceil(config.timings.snapshotPollSeconds) };
}

/** Failures that already have a name and a text of their own. */
const BY_STORAGE = new Set([
  'SR_BACKEND_FAILURE_44',
  'SR_FULL',
  'SR_BACKEND_FAILURE_109',
  'RBAC_PERMISSION_DENIED',
]);

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
