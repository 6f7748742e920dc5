import { taskError } from '../../xapi/errors.ts';
import { XensnapError } from '../errors.ts';
import { finishRestored } from '../pool/finish-restored.ts';
import { byUuid } from '../pool/gone.ts';
import { forgetTask, tagTask, taskRecord } from '../pool/tasks.ts';
import { type DepsOf, step } from '../step.ts';
import { translate } from '../translate.ts';

/**
 * The commit point: what was made is no longer ours to destroy. From then on the job succeeds: names, blocks and tags are
 * put right, by the janitor if need be, and whether the VM can start is told as a warning.
 */
export const handler = step('FinishRestore', { needs: ['diskUuid', 'imageName'] }, async (_state, deps) => {
  const { job, xapi, store, config } = deps;
  if (
    !job.committed &&
    !(await store.jobs.commitRestore(job.id)) &&
    !(await store.jobs.get(job.id))?.committed
  )
    throw new XensnapError('JobClosing', 'The job is being closed: what it has made is not kept.');
  await finishRestored(xapi, job, config.installation);
  if (job.request.start) await start(deps);
  return undefined;
});

/** Looks at the task that starts the VM, a second apart; a guest may take longer, and is not waited for. */
const LOOKS = 60;

async function start(deps: DepsOf<'FinishRestore'>): Promise<void> {
  const { job, xapi, wait } = deps;
  const vmRef = job.restoredVmUuid && (await byUuid(xapi, 'VM', job.restoredVmUuid));
  if (!vmRef) return;
  const { power_state } = await xapi.call('VM.get_record', vmRef);
  if (power_state !== 'Halted') return;
  try {
    const task = await xapi.call('Async.VM.start', vmRef, false, false);
    await tagTask(deps, task);
    for (let look = 1; look <= LOOKS; look++) {
      const record = await taskRecord(xapi, task);
      if (record?.status === 'pending' || record?.status === 'cancelling') {
        await wait(1);
        continue;
      }
      await forgetTask(deps, task);
      if (record && record.status !== 'success') throw taskError(record);
      return;
    }
  } catch (error) {
    const { message } = translate(error);
    await deps.store.jobs.warn(job.id, `${NOT_STARTED}: ${message}`, `${NOT_STARTED}.`);
  }
}

const NOT_STARTED = 'The VM was restored, and could not be started';
