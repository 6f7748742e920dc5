import { isCode } from '../../xapi/errors.ts';
import type { Ref } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { maySnapshotGo } from '../host-away.ts';
import type { Job } from '../job.ts';
import { type StepDeps, secondsSince, step } from '../step.ts';
import { forgetTask } from '../tasks.ts';
import { disksOf, findTemplate } from '../template.ts';

/** Destroys the template's disks, then the template, and nothing that is not provably ours. Pays `snapshot`. */
export async function destroySnapshot(deps: StepDeps): Promise<void> {
  const { xapi, store, config } = deps;
  const job = (await store.jobs.get(deps.job.id)) ?? deps.job;
  if (!job.debts?.has('snapshot') || !maySnapshotGo(job, deps)) return;
  const template = await findTemplate(xapi, job, config.installation);
  if (template) {
    // On record before the first is gone: a template without its disks no longer says which they were.
    const refs = await disksOf(xapi, template.ref);
    if (job.snapshotDisks === undefined)
      await store.jobs.record(job.id, {
        templateRef: template.ref,
        templateUuid: template.record.uuid,
        snapshotDisks: await Promise.all(refs.map((ref) => xapi.call('VDI.get_uuid', ref))),
      });
    for (const ref of refs) await destroyed(xapi.call('VDI.destroy', ref));
    await destroyed(xapi.call('VM.destroy', template.ref));
  } else {
    for (const uuid of job.snapshotDisks ?? []) await destroyDisk(deps, uuid);
    await refuseIfUnderWay({ ...deps, job });
  }
  if (job.snapshotTask !== undefined && job.templateUuid === undefined)
    await forgetTask(xapi, job.snapshotTask);
  await store.jobs.pay(job.id, 'snapshot');
}

export const handler = step('DestroySnapshot', async (_state, deps) => {
  await destroySnapshot(deps);
  return undefined;
});

/** A disk whose template is gone: ours because its UUID is on the job's record, and still a snapshot. */
async function destroyDisk({ xapi }: StepDeps, vdiUuid: string): Promise<void> {
  let ref: Ref<'VDI'>;
  try {
    ref = await xapi.call('VDI.get_by_uuid', vdiUuid);
  } catch (error) {
    if (isCode(error, 'UUID_INVALID')) return;
    throw error;
  }
  if ((await xapi.call('VDI.get_record', ref)).is_a_snapshot) await destroyed(xapi.call('VDI.destroy', ref));
}

/** No template is there: but the snapshot call may still be at work, or wait inside xapi for the VM to be free. */
async function refuseIfUnderWay({ job, xapi, config, ...deps }: StepDeps): Promise<void> {
  if (job.templateUuid !== undefined || job.snapshotSentAt === undefined || job.vmRef === undefined) return;
  if (await mayStillCome(xapi, job)) throw new XensnapError('StillOwed', 'The snapshot is still being made.');
  const age = secondsSince(deps, job.snapshotSentAt);
  if (job.snapshotTask === undefined && age < config.timings.snapshotLostSeconds)
    throw new XensnapError('StillOwed', 'The snapshot call got no answer; it may still make a snapshot.');
}

async function mayStillCome(xapi: StepDeps['xapi'], job: Job): Promise<boolean> {
  try {
    if (job.snapshotTask !== undefined) {
      const { status } = await xapi.call('task.get_record', job.snapshotTask);
      return status === 'pending' || status === 'cancelling';
    }
    const operations = job.vmRef ? await xapi.call('VM.get_current_operations', job.vmRef) : {};
    return Object.values(operations).some((operation) => operation.startsWith('snapshot'));
  } catch (error) {
    // The VM is gone, and its snapshots with it; or the task is forgotten, and then it is over.
    if (isCode(error, 'HANDLE_INVALID')) return false;
    throw error;
  }
}

/** What is gone is destroyed. */
async function destroyed(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!isCode(error, 'HANDLE_INVALID')) throw error;
  }
}
