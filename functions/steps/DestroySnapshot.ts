import type { Session } from '../../xapi/session.ts';
import { XensnapError } from '../errors.ts';
import { orAsItWas, type SnapshotJob } from '../job.ts';
import { destroyUntilGone, uuidsOf } from '../pool/destroy.ts';
import { GONE, unlessGone } from '../pool/gone.ts';
import { removeHalfMade } from '../pool/half-made.ts';
import { isExported, maySnapshotGo } from '../pool/host-away.ts';
import { paySecret } from '../pool/secrets.ts';
import { forgetLostTask, forgetTask, taskRecord } from '../pool/tasks.ts';
import { disksOf, findTemplate, lookForTemplate, type Template } from '../pool/template.ts';
import { type DepsOf, housekeeping, mayArrive, type SnapshotDeps, step } from '../step.ts';
import { isQuiesced, snapshotCall } from './StartSnapshot.ts';

/**
 * Destroys the template's disks, then the template, and nothing that is not provably ours. Pays `snapshot` once neither
 * is to be found any more: the disks by their UUIDs, the template by its UUID and its label.
 */
export async function destroySnapshot(deps: DepsOf<'DestroySnapshot'>): Promise<void> {
  const { xapi, store, config } = deps;
  const job = orAsItWas(await store.jobs.get(deps.job.id), deps.job);
  if (!job.debts?.has('snapshot') || !maySnapshotGo(job, deps)) return;
  let template = await findTemplate(xapi, job, config.installation);
  if (!template && job.snapshotSentAt !== undefined) {
    await refuseIfUnderWay({ ...deps, job });
    // What was still being made at the first look may have been done by the time that its task was asked for.
    template = await findTemplate(xapi, job, config.installation);
  }
  // A quiesced one that failed leaves a template without our label; PollSnapshot may not have come to it.
  if (!template && job.vmRef !== undefined && job.snapshotSentAt !== undefined && isQuiesced(job))
    await removeHalfMade({ ...deps, job }, job.vmRef);
  const disks = job.snapshotDisks ?? (template ? await putOnRecord(deps, template) : []);
  const left = await destroyUntilGone(xapi, template?.record.uuid, disks, { exported: isExported(job) });
  // It was looked for by its UUID just now.
  const { templateUuid: _, ...labelled } = job;
  if (template && (await lookForTemplate(xapi, labelled, config.installation)))
    throw new XensnapError('StillOwed', 'There is another snapshot with the label of this job.');
  if (job.snapshotTask !== undefined) await forgetTask(deps, job.snapshotTask);
  else if (template && job.templateUuid === undefined)
    await forgetLostTask(deps, snapshotCall(job), template.ref);
  for (const uuid of left)
    await store.jobs.warn(job.id, `The disk ${uuid} of the snapshot is no snapshot any more; it was left.`);
  await store.jobs.pay(job.id, 'snapshot');
}

export const handler = step('DestroySnapshot', { needs: [] }, async (_state, deps) => {
  // After a success nobody else does, if PollUpload could not.
  await housekeeping(deps.log, "the upload's secret", () => paySecret(deps));
  await destroySnapshot(deps);
  return undefined;
});

/** Before the first disk is gone: a template without its disks no longer says which they were. */
async function putOnRecord(
  { xapi, store, job }: DepsOf<'DestroySnapshot'>,
  { ref, record }: Template,
): Promise<readonly string[]> {
  const snapshotDisks = await uuidsOf(xapi, await disksOf(xapi, ref, job.device));
  await store.jobs.record(job.id, { templateRef: ref, templateUuid: record.uuid, snapshotDisks });
  return snapshotDisks;
}

/** No template is there: but the snapshot call may still be at work, or wait inside xapi for the VM to be free. */
async function refuseIfUnderWay(deps: SnapshotDeps): Promise<void> {
  const { job, xapi } = deps;
  if (job.templateUuid !== undefined || job.snapshotSentAt === undefined) return;
  if (await isUnderWay(xapi, job)) throw new XensnapError('StillOwed', 'The snapshot is still being made.');
  if (job.snapshotTask === undefined && mayArrive(deps, job.snapshotSentAt))
    throw new XensnapError('StillOwed', 'The snapshot call got no answer; it may still make a snapshot.');
}

/** The task tells; where xapi does not know it (any more), the VM's current operations do. */
async function isUnderWay(xapi: Session, job: SnapshotJob): Promise<boolean> {
  const task = job.snapshotTask && (await taskRecord(xapi, job.snapshotTask));
  if (task) return task.status === 'pending' || task.status === 'cancelling';
  if (job.vmRef === undefined) return false;
  const vm = { class: 'VM', ref: job.vmRef, uuid: job.vmUuid } as const;
  const operations = await unlessGone(xapi, vm, (ref) => xapi.call('VM.get_current_operations', ref));
  // Nothing more is made of a VM that is gone.
  return operations !== GONE && Object.values(operations).some((each) => each.startsWith('snapshot'));
}
