import { isCode } from '../../xapi/errors.ts';
import type { AsyncMethod } from '../../xapi/methods.ts';
import type { Ref } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { type SnapshotJob, snapshotLabel } from '../job.ts';
import { tagTask } from '../pool/tasks.ts';
import { type DepsOf, housekeeping, owe, record, type SnapshotDeps, step } from '../step.ts';
import { isReplyLost } from '../translate.ts';

/**
 * Sends the snapshot call, once in a job's life (once more after a quiesced one that failed for sure). A reply that
 * is lost is settled by PollSnapshot, which looks for the template.
 */
export const handler = step('StartSnapshot', { needs: ['vmRef', 'taggedDisks'] }, async (_state, deps) => {
  const { job, store, clock } = deps;
  if (job.templateUuid !== undefined || job.snapshotSentAt !== undefined) return undefined;
  await owe(deps, 'snapshot');
  const claimed = await store.jobs.sendSnapshot(job.id, clock.now()).catch(async (error: unknown) => {
    // It may be on record all the same, and then no other try would send what this one has not.
    await housekeeping(deps.log, 'that no snapshot was sent', () =>
      store.jobs.record(job.id, {}, ['snapshotSentAt']),
    );
    throw error;
  });
  if (!claimed) {
    const { closing, snapshotSentAt } = (await store.jobs.snapshot(job.id)) ?? {};
    // Another run of this step, which was taken for dead or begun twice, has sent it since.
    if (!closing && snapshotSentAt !== undefined) return undefined;
    throw new XensnapError('JobClosing', 'The job is being closed: no snapshot is made.');
  }
  let snapshotTask: Ref<'task'>;
  try {
    snapshotTask = await send(deps);
  } catch (error) {
    if (isReplyLost(error)) {
      deps.log.warn('the reply to the snapshot call was lost; looking for the snapshot', {
        reason: String(error),
      });
      return undefined;
    }
    // Refused, or never sent: it may be sent again.
    await store.jobs.record(job.id, {}, ['snapshotSentAt']);
    throw error;
  }
  await tagTask(deps, snapshotTask);
  // It is sent: if this cannot be put on record, PollSnapshot looks for the template.
  await record(deps, { snapshotTask });
  return undefined;
});

async function send(deps: DepsOf<'StartSnapshot', 'vmRef' | 'taggedDisks'>): Promise<Ref<'task'>> {
  const { job, xapi } = deps;
  const { vmRef } = job;
  const label = snapshotLabel(job.id);
  const { quiesce } = job.request;
  if (isQuiesced(job)) {
    try {
      return await xapi.call('Async.VM.snapshot_with_quiesce', vmRef, label);
    } catch (error) {
      if (!isCode(error, 'MESSAGE_REMOVED', 'MESSAGE_METHOD_UNKNOWN')) throw error;
      const reason = 'this release of XenServer has no quiesced snapshots';
      if (quiesce === 'require')
        throw new XensnapError('QuiesceNotSupported', `Refused: ${reason}.`, { cause: error });
      await noteFallback(deps, reason);
    }
  }
  const [, ...others] = job.taggedDisks;
  if (others.length === 0) return xapi.call('Async.VM.snapshot', vmRef, label);
  try {
    return await xapi.call('Async.VM.snapshot', vmRef, label, others);
  } catch (error) {
    // ignore_vdis came in 2021: an older release snapshots every disk, and all are destroyed with the template.
    if (!isCode(error, 'MESSAGE_PARAMETER_COUNT_MISMATCH')) throw error;
    return xapi.call('Async.VM.snapshot', vmRef, label);
  }
}

/** Whether the job's snapshot call is the quiesced one. */
export function isQuiesced({ request, quiesceFailure }: SnapshotJob): boolean {
  return request.quiesce !== 'never' && quiesceFailure === undefined;
}

/** The call that makes the job's snapshot, by which its task is named. */
export function snapshotCall(job: SnapshotJob): AsyncMethod {
  return isQuiesced(job) ? 'Async.VM.snapshot_with_quiesce' : 'Async.VM.snapshot';
}

/** Notes that the snapshot will not be quiesced although the caller would have liked it. */
export async function noteFallback(
  { job, store }: SnapshotDeps<'quiesceFailure'>,
  reason: string,
): Promise<void> {
  await store.jobs.record(job.id, { quiesceFailure: reason });
  const warning = 'Not quiesced, only crash-consistent';
  await store.jobs.warn(job.id, `${warning}: ${reason}.`, `${warning}.`);
}
