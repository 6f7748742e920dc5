import { taskError } from '../../xapi/errors.ts';
import type { TaskRecord, VmRecord } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import type { IntoVm, SwappedJob } from '../job.ts';
import { type DepsOf, housekeeping, mayArrive, owe, record, secondsSince } from '../step.ts';
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

/**
 * @param shutdown whether a running VM may be asked to shut down; undefined where nobody can say so
 * @throws VmNotHalted where a VM does not stand still, and may not or cannot be asked to shut down
 */
export function refuseUnlessHaltable(
  { name_label: name, power_state: state }: Pick<VmRecord, 'name_label' | 'power_state'>,
  shutdown: boolean | undefined,
): void {
  if (state === 'Halted' || (state === 'Running' && shutdown)) return;
  const how =
    state === 'Running' && shutdown === false
      ? ', or have it asked to, with "shutdown" (--shutdown on the command line)'
      : '';
  throw new XensnapError(
    'VmNotHalted',
    `The VM "${name}" is ${state.toLowerCase()}, and its disk can only be exchanged while it is halted: shut it down${how}.`,
  );
}

/**
 * Sees to it that no shutdown which the job has asked for is still to come or under way in xapi.
 * @throws StillOwed while one is
 */
export async function endShutdown(deps: DepsOf<'SettleSwap'>): Promise<void> {
  const { job, xapi, log } = deps;
  const { shutdownTask } = job;
  if (shutdownTask === undefined || !isPending(await taskRecord(xapi, shutdownTask))) return;
  await housekeeping(log, 'that the VM need not shut down', () => xapi.call('task.cancel', shutdownTask));
  throw new XensnapError('StillOwed', 'The VM is still being shut down: it is started again after that.');
}

/** Failures of a shutdown of which the guest has not heard. */
const UNHEARD: readonly string[] = [
  'OPERATION_BLOCKED',
  'OTHER_OPERATION_IN_PROGRESS',
  'VM_BAD_POWER_STATE',
  'VM_LACKS_FEATURE',
  'VM_MISSING_PV_DRIVERS',
];

/**
 * Waits for a guest that was asked to shut down and still runs: the end of xapi's task, by cancelling or by xapi's restart,
 * only ends xapi's wait for it, and it may come to it long after. Answers whether it was asked: then a VM that is halted
 * is so by our doing.
 * @throws StillOwed while it may
 */
export async function awaitGuest(
  deps: DepsOf<'SettleSwap'>,
  { id, into: { name } }: SwappedJob,
  vm: VmRecord | undefined,
): Promise<boolean> {
  const { job, xapi, store } = deps;
  const { shutdownTask, shutdownSince } = job;
  if (shutdownSince === undefined) return false;
  const task = shutdownTask === undefined ? undefined : await taskRecord(xapi, shutdownTask);
  const isUnheard = task?.status === 'failure' && UNHEARD.includes(taskError(task).code);
  if (!isUnheard && vm?.power_state === 'Running') {
    if (mayGoDown(deps, vm, shutdownSince))
      throw new XensnapError(
        'StillOwed',
        `The VM "${name}" was asked to shut down and may still do so, which nobody can take back: it is started again then.`,
      );
    const warning = `The VM "${name}" was asked to shut down, and has not. If it still does, start it.`;
    if (shutdownTask !== undefined) await store.jobs.warn(id, warning, warning);
  }
  if (task && shutdownTask !== undefined) await forgetTask(deps, shutdownTask);
  return !isUnheard;
}

function mayGoDown(deps: DepsOf<'SettleSwap'>, vm: VmRecord, askedAt: string): boolean {
  // Also by a call of which nobody knows the task, since its answer was lost.
  if (Object.values(vm.current_operations).includes('clean_shutdown')) return true;
  return deps.job.shutdownTask === undefined
    ? mayArrive(deps, askedAt)
    : secondsSince(deps, askedAt) < deps.config.timings.lateShutdownSeconds;
}
