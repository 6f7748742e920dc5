import { taskError } from '../../xapi/errors.ts';
import type { TaskRecord, VmRecord } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import type { IntoVm } from '../job.ts';
import { type DepsOf, housekeeping, owe, record, secondsSince } from '../step.ts';
import type { Found } from './position.ts';
import { forgetTask, tagTask, taskRecord } from './tasks.ts';

/**
 * Has a VM halted, by its guest alone and never by force: asks it, once, and answers whether it has ended by now.
 * @throws VmNotHalted where nobody has said that it may be asked, or where it is neither running nor halted;
 *   ShutdownFailed when it does not shut down
 */
export async function isHalted(
  deps: DepsOf<'SwapDisk'>,
  { shutdown }: IntoVm,
  { ref, vm }: Found,
): Promise<boolean> {
  const { job, xapi, config } = deps;
  refuseUnlessHaltable(vm, shutdown);
  const name = vm.name_label;
  const task = job.shutdownTask === undefined ? undefined : await taskRecord(xapi, job.shutdownTask);
  if (vm.power_state === 'Halted') {
    // It is halted a moment before the shutdown is over.
    if (isPending(task)) return false;
    if (task && job.shutdownTask !== undefined) await forgetTask(deps, job.shutdownTask);
    return true;
  }
  if (job.shutdownSince === undefined || job.shutdownTask === undefined) {
    await owe(deps, 'swap', { shutdownSince: job.shutdownSince ?? deps.clock.now().toISOString() });
    const shutdownTask = await xapi.call('Async.VM.clean_shutdown', ref);
    await record(deps, { shutdownTask });
    await tagTask(deps, shutdownTask);
    return false;
  }
  if (task?.status === 'failure' || task?.status === 'cancelled')
    throw new XensnapError(
      'ShutdownFailed',
      `The VM "${name}" did not shut down: ${taskError(task).message}.`,
      {
        cause: taskError(task),
      },
    );
  const { shutdownSeconds } = config.timings;
  if (secondsSince(deps, job.shutdownSince) < shutdownSeconds) return false;
  throw new XensnapError(
    'ShutdownFailed',
    `The VM "${name}" was asked to shut down, and still runs after ${Math.round(shutdownSeconds / 60)} minutes.`,
  );
}

function isPending(task: TaskRecord | undefined): boolean {
  return task?.status === 'pending' || task?.status === 'cancelling';
}

/** @throws VmNotHalted where a VM does not stand still, and may not or cannot be asked to shut down */
export function refuseUnlessHaltable(
  { name_label: name, power_state: state }: Pick<VmRecord, 'name_label' | 'power_state'>,
  shutdown: boolean,
): void {
  if (state === 'Halted' || (state === 'Running' && shutdown)) return;
  const how =
    state === 'Running' ? ', or have it asked to, with "shutdown" (--shutdown on the command line)' : '';
  throw new XensnapError(
    'VmNotHalted',
    `The VM "${name}" is ${state.toLowerCase()}, and its disk can only be exchanged while it is halted: shut it down${how}.`,
  );
}

/**
 * Sees to it that a shutdown which the job has asked for is over: what the guest does of it late would be nobody's.
 * @throws StillOwed while it is under way
 */
export async function endShutdown(deps: DepsOf<'SettleSwap'>): Promise<void> {
  const { job, xapi, log } = deps;
  const { shutdownTask } = job;
  if (shutdownTask === undefined) return;
  const task = await taskRecord(xapi, shutdownTask);
  if (isPending(task)) {
    await housekeeping(log, 'that the VM need not shut down', () => xapi.call('task.cancel', shutdownTask));
    throw new XensnapError('StillOwed', 'The VM is still being shut down: it is started again after that.');
  }
  if (task) await forgetTask(deps, shutdownTask);
}
