import { taskError } from '../../xapi/errors.ts';
import { NULL_REF, type Ref, type TaskRecord, type WholeVmRecord } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { byUuid } from '../pool/gone.ts';
import { unblockStart } from '../pool/start-block.ts';
import { forgetTask, tagTask, taskRecord } from '../pool/tasks.ts';
import { vmConfigOf } from '../restored.ts';
import { type DepsOf, owe, record, secondsSince, step } from '../step.ts';
import { isReplyLost } from '../translate.ts';
import type { Reached } from '../words.ts';

type Deps = DepsOf<'TestVm', 'hostRef'>;
type Look = { readonly next: 'done' | 'wait'; readonly waitSeconds: number };

/**
 * The commit point of a test. The disk is written and proved whole; where the VM is to boot, it must run and, if its guest
 * had tools, these must be seen, within `timings.testBootSeconds`. What was made goes either way.
 */
export const handler = step('TestVm', { needs: ['hostRef'] }, async (_state, deps): Promise<Look> => {
  const { job, xapi } = deps;
  // Without a description there is no VM, and what a restore brings back is the disk.
  if (job.committed || !job.request.boot || job.restoredVmUuid === undefined) return prove(deps, 'disk');
  const vmRef = await byUuid(xapi, 'VM', job.restoredVmUuid);
  if (vmRef === undefined) throw failed('the VM is no longer there');
  // Before the VM: of one that has just come up the task may be over when it is looked at.
  const task = job.bootTask && (await taskRecord(xapi, job.bootTask));
  const vm = await xapi.call('VM.get_record', vmRef);
  return vm.power_state === 'Halted' ? whileHalted(deps, vmRef, task) : whileUp(deps, vm);
});

async function whileUp(deps: Deps, vm: WholeVmRecord): Promise<Look> {
  const { job, clock } = deps;
  if (job.bootedAt === undefined) {
    if (job.bootTask !== undefined) await forgetTask(deps, job.bootTask);
    await record(deps, { bootedAt: clock.now().toISOString() });
  }
  if (await hasTools(deps, vm)) return prove(deps, 'tools');
  if (vm.power_state === 'Running' && vmConfigOf(job)?.tools === false) return prove(deps, 'started');
  return goOn(deps, 'its guest tools were not seen');
}

async function hasTools({ xapi }: Deps, { guest_metrics, power_state }: WholeVmRecord): Promise<boolean> {
  if (power_state !== 'Running' || guest_metrics === NULL_REF) return false;
  return (await xapi.call('VM_guest_metrics.get_record', guest_metrics)).PV_drivers_detected;
}

/** It has not come up yet, could not, or has gone down by itself. */
async function whileHalted(deps: Deps, vmRef: Ref<'VM'>, task: TaskRecord | undefined): Promise<Look> {
  const { job } = deps;
  if (job.bootedAt !== undefined || task?.status === 'success')
    throw failed('the VM started and halted by itself');
  if (task?.status === 'pending' || task?.status === 'cancelling') return goOn(deps, 'it did not start');
  if (task && job.bootAnywhere)
    throw failed(`the pool could not start it: ${taskError(task).message}`, taskError(task));
  // Once on the host that downloaded, then wherever it can; a call whose reply was lost is sent again, since xapi starts
  // no VM twice.
  return start(deps, vmRef, task !== undefined || job.bootAnywhere === true);
}

async function start(deps: Deps, vmRef: Ref<'VM'>, anywhere: boolean): Promise<Look> {
  const { job, xapi, clock } = deps;
  if (job.bootSentAt !== undefined && secondsSince(deps, job.bootSentAt) > bootSeconds(deps))
    throw tooLate(deps, 'it did not start');
  const bootSentAt = job.bootSentAt ?? clock.now().toISOString();
  if (job.bootTask !== undefined) await forgetTask(deps, job.bootTask);
  // Refused where the job is being closed: nothing starts then. The debt is there since the VM is.
  await owe(deps, 'vm', { bootSentAt, bootAnywhere: anywhere });
  if (job.bootTask !== undefined) await deps.store.jobs.record(job.id, {}, ['bootTask']);
  await unblockStart(xapi, vmRef, job.id);
  try {
    const bootTask = anywhere
      ? await xapi.call('Async.VM.start', vmRef, false, false)
      : await xapi.call('Async.VM.start_on', vmRef, job.hostRef, false, false);
    await tagTask(deps, bootTask);
    await record(deps, { bootTask });
  } catch (error) {
    // The next look shows whether it has started.
    if (!isReplyLost(error)) throw error;
  }
  return { next: 'wait', waitSeconds: pollSeconds(deps) };
}

function goOn(deps: Deps, lacking: string): Look {
  const { bootSentAt } = deps.job;
  if (bootSentAt !== undefined && secondsSince(deps, bootSentAt) > bootSeconds(deps))
    throw tooLate(deps, lacking);
  return { next: 'wait', waitSeconds: pollSeconds(deps) };
}

async function prove({ job, store, clock }: Deps, reached: Reached): Promise<Look> {
  if (
    !job.committed &&
    !(await store.jobs.commitTest(job.id, { reached, provenAt: clock.now() })) &&
    !(await store.jobs.get(job.id))?.committed
  )
    throw new XensnapError('JobClosing', 'The job is being closed: its test proves nothing any more.');
  return { next: 'done', waitSeconds: 1 };
}

function pollSeconds({ config }: Deps): number {
  return Math.ceil(config.timings.testPollSeconds);
}

function bootSeconds({ config }: Deps): number {
  return config.timings.testBootSeconds;
}

function tooLate(deps: Deps, lacking: string): XensnapError {
  return failed(`${lacking} within ${Math.round(bootSeconds(deps))} s`);
}

function failed(why: string, cause?: Error): XensnapError {
  return new XensnapError('RestoreTestFailed', `The restored VM did not come up: ${why}.`, { cause });
}
