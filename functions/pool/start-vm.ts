import { taskError } from '../../xapi/errors.ts';
import type { StepDeps } from '../step.ts';
import { byUuid } from './gone.ts';
import { forgetTask, tagTask, taskRecord } from './tasks.ts';

/** Looks at the task that starts the VM, a second apart; a guest may take longer, and is not waited for. */
const LOOKS = 60;

/** Starts a VM that is halted. @throws what its start has failed of, as far as it has by then */
export async function startVm(
  deps: Pick<StepDeps, 'xapi' | 'wait' | 'log' | 'job' | 'config'>,
  vmUuid: string,
): Promise<void> {
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
