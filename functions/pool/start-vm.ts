import { taskError } from '../../xapi/errors.ts';
import type { StepDeps } from '../step.ts';
import { translate } from '../translate.ts';
import { byUuid } from './gone.ts';
import { forgetTask, tagTask, taskRecord } from './tasks.ts';

/** Looks at the task that starts the VM, a second apart; a guest may take longer, and is not waited for. */
const LOOKS = 60;

/** The warning of a restore whose VM was to run in the end. */
export const NOT_STARTED = 'The VM was restored, and could not be started';

type Deps = Pick<StepDeps, 'xapi' | 'wait' | 'log' | 'job' | 'config' | 'store'>;

/** Starts a VM that is halted; that it can't is a warning, which begins with `problem`. */
export async function startOrWarn(deps: Deps, vmUuid: string, problem: string): Promise<void> {
  try {
    await startVm(deps, vmUuid);
  } catch (error) {
    const { message } = translate(error);
    await deps.store.jobs.warn(deps.job.id, `${problem}: ${message}`, `${problem}.`);
  }
}

/** @throws what the VM's start has failed of, as far as it has by then */
async function startVm(deps: Deps, vmUuid: string): Promise<void> {
  const { xapi, wait } = deps;
  const vmRef = await byUuid(xapi, 'VM', vmUuid);
  if (!vmRef) return;
  const { power_state } = await xapi.call('VM.get_record', vmRef);
  if (power_state !== 'Halted') return;
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
}
