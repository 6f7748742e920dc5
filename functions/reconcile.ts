import { randomUUID } from 'node:crypto';
import type { EventBridgeEvent } from 'aws-lambda';
import type { CleanupStepOf, FactOf, MachineName } from '../statemachine/contract.ts';
import { mapBounded } from './bounded.ts';
import { END_OF_TIME } from './clock.ts';
import { type Reason, XensnapError } from './errors.ts';
import type { ExecutionState } from './executions.ts';
import type { Job, JobOf } from './job.ts';
import { errorOfCaught } from './outcome.ts';
import { finishRestored } from './pool/finish-restored.ts';
import { keepingWoken, type Woken } from './queue/wake.ts';
import { isKept } from './restored.ts';
import { lambdaRuntime, type Runtime } from './runtime/executions.ts';
import { sentence } from './sentence.ts';
import { type DepsOf, type RestoreDeps, type StepDeps, secondsSince } from './step.ts';
import { cancelDownload } from './steps/CancelDownload.ts';
import { cancelUpload } from './steps/CancelUpload.ts';
import { destroyDisks } from './steps/DestroyDisks.ts';
import { destroySnapshot } from './steps/DestroySnapshot.ts';
import { destroyVm } from './steps/DestroyVm.ts';
import { discardImage } from './steps/DiscardImage.ts';
import { markImage } from './steps/MarkImage.ts';
import { GOES_ON, releaseSlot, releaseVm, tellOutcome } from './steps/ReleaseHost.ts';
import { relockVm } from './steps/RelockVm.ts';
import { settleSwap } from './steps/SettleSwap.ts';
import { slotsOfHost, slotsOfSr } from './store/counters.ts';
import { NOT_TIDIED_UP } from './told.ts';
import { translate } from './translate.ts';
import { warnOfUnfinished } from './unfinished.ts';
import type { Debt } from './words.ts';

/**
 * What a reconcile found. `busy`: the job still runs, or another reconciler has it, or it is just starting. `over`: it
 * had come to its end without.
 */
export type Reconciled =
  | { readonly state: 'settled' }
  | { readonly state: 'over' }
  | { readonly state: 'busy' }
  /** `byHost`: all of it waits for a host that is away, and the VM does not wait with it. */
  | { readonly state: 'owing'; readonly owes: readonly string[]; readonly byHost: boolean };

/** The rule on an execution's FAILED, TIMED_OUT and ABORTED. Its name is the job's id. */
type StatusChange = EventBridgeEvent<
  'Step Functions Execution Status Change',
  { name: string; status: string }
>;

/** Pays what a job whose execution has ended still owes. Throws while something is owed, so that Lambda tries again. */
export async function handler(event: StatusChange): Promise<Woken> {
  return reconcileEvent(event, lambdaRuntime());
}

/** {@link handler} within a runtime. The queue is not in its reach: it answers of which slots a line is to be woken. */
export async function reconcileEvent({ detail: { name: id } }: StatusChange, from: Runtime): Promise<Woken> {
  const { runtime, woken } = keepingWoken(from);
  const result = await reconcile(id, runtime);
  refuseOwing(id, result);
  // A run before this one may have given the slots back, still owed something, and so told nobody.
  if (result.state === 'settled' && woken.wake.length === 0) {
    const job = await from.store.jobs.get(id);
    if (job?.group !== undefined) await runtime.wake(slotsOfHost(job.group), []);
    if (job?.srUuid !== undefined) await runtime.wake(slotsOfSr(job.pool, job.srUuid), []);
  }
  return woken;
}

function refuseOwing(jobId: string, result: Reconciled): void {
  if (result.state === 'owing' && !result.byHost)
    throw new XensnapError('StillOwed', `Job ${jobId} still owes ${result.owes.join(', ')}.`);
}

/** What the steps of a machine's cleanup line work with. */
type CleanupDeps<M extends MachineName> = StepDeps<FactOf<CleanupStepOf<M>>, never, JobOf<M>>;
type Payments<M extends MachineName> = readonly [
  Debt | 'close' | 'names',
  (deps: CleanupDeps<M>, end: Reason) => Promise<void>,
][];

/** Each debt's payment, by the job's machine; the same functions that the steps of its cleanup line run. */
const PAYMENTS: { readonly [M in MachineName]: Payments<M> } = {
  snapshot: [
    ['close', cancelUpload],
    ['image', discardImage],
    ['snapshot', destroySnapshot],
    ['relock', relockUnderLease],
    ['slot', releaseSlot],
  ],
  restore: [
    ['close', cancelDownload],
    ['swap', settleSwapUnderLease],
    ['vm', destroyVm],
    ['disk', destroyDisks],
    ['mark', markImage],
    ['slot', releaseSlot],
    ['names', finishCommitted],
  ],
};

/** What a restore has made stays from its commit on, and is to look so. */
async function finishCommitted({ job, xapi, config }: RestoreDeps): Promise<void> {
  if (isKept(job)) await finishRestored(xapi, job, config.installation);
}

/** A restore that is undone has given its VM back before, and the next job may have taken it. */
async function settleSwapUnderLease(deps: RestoreDeps<'swapSentAt'>): Promise<void> {
  const { store, job, clock } = deps;
  if (!job.into || !(await store.jobs.get(job.id))?.debts?.has('swap')) return;
  const holder = await store.leases.takeVm(job.pool, job.into.uuid, job.id, clock.now());
  if (holder !== job.id)
    throw new XensnapError('StillOwed', `The job ${holder} has the VM now: its disk is seen to after that.`);
  await settleSwap(deps);
}

/**
 * A job that waits for its host has given the VM's lease back, and the next one may have opened the VM for a snapshot:
 * that one locks it again.
 */
async function relockUnderLease(deps: DepsOf<'RelockVm'>): Promise<void> {
  const { store, job, clock } = deps;
  if (!(await store.jobs.get(job.id))?.debts?.has('relock')) return;
  const holder = await store.leases.takeVm(job.pool, job.vmUuid, job.id, clock.now());
  if (holder !== job.id)
    throw new XensnapError('StillOwed', `The job ${holder} has the VM now: it is locked after that.`);
  await relockVm(deps);
}

/**
 * Brings a job that no longer runs to its end: closes it, waits out a step that may still be at work, pays its debts,
 * tells the outcome and frees the VM. Under a claim, so that of two at once one does it.
 * @param options.orphaned the process that had the job is dead: none of its steps runs, and it does not begin any more
 * @param options.alone nobody else can be at work on any job: so are claims
 */
export async function reconcile(
  jobId: string,
  runtime: Runtime,
  options: { orphaned?: boolean; alone?: boolean } = {},
): Promise<Reconciled> {
  const { store, clock, config } = runtime;
  const { alone = false, orphaned = alone } = options;
  const me = randomUUID();
  const until = new Date(clock.now().getTime() + config.timings.claimSeconds * 1000);
  const claimed = await store.jobs
    .claim(jobId, me, alone ? new Date(END_OF_TIME) : clock.now(), until)
    .catch(async (error: unknown) => {
      // It may be ours all the same, and would keep the next try out until it has run out.
      await store.jobs.unclaim(jobId, me).catch(() => undefined);
      throw error;
    });
  if (!claimed) return { state: 'busy' };
  try {
    if (claimed.open === undefined) return { state: 'over' };
    const execution = await runtime.executions.describe(claimed);
    if (execution?.status === 'RUNNING' || execution?.status === 'PENDING_REDRIVE') return { state: 'busy' };
    // Its request may be about to start it. One that has ended will not be started again, whatever its record says.
    if (!orphaned && !execution && isStarting(claimed, runtime)) return { state: 'busy' };
    await store.jobs.close(jobId);
    const job = orphaned ? await store.jobs.get(jobId) : await waitOutStep(jobId, runtime);
    if (!job) return { state: 'owing', owes: ['what the step that still runs does'], byHost: false };
    return await settle(job, endOf(job, execution), runtime);
  } finally {
    await store.jobs.unclaim(jobId, me);
  }
}

const STRANDED_AT_ONCE = 8;

/** Reconciles every open job, knowing that no other process works on the table. Answers which still owe something. */
export async function reconcileStranded(runtime: Runtime): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const { id } of runtime.store.jobs.open()) ids.push(id);
  // A host that hangs holds up its own jobs, not everybody's.
  const owing = await mapBounded(ids, STRANDED_AT_ONCE, async (id) => {
    try {
      const { state } = await reconcile(id, runtime, { alone: true });
      return state === 'settled' || state === 'over' ? [] : [id];
    } catch (error) {
      // Its pool is away, say: the others are brought to their end all the same.
      runtime.log.warn('a stranded job could not be tidied up yet', { reason: translate(error).message });
      return [id];
    }
  });
  return owing.flat();
}

/** Reconciles a job that a dead process had, and that another one may look at too. Throws while something is owed. */
export async function reconcileOrphan(jobId: string, runtime: Runtime): Promise<void> {
  refuseOwing(jobId, await reconcile(jobId, runtime, { orphaned: true }));
}

/** Whether a job that has no execution may be about to get one. */
export function isStarting(job: Job, { clock, config }: Runtime): boolean {
  return (
    job.status === 'starting' &&
    job.finishedAt === undefined &&
    secondsSince({ clock }, job.createdAt) < config.timings.startingSeconds
  );
}

/** A stopped execution leaves its Lambda at work. Undefined when that takes longer than we may wait. */
async function waitOutStep(jobId: string, { store, clock, config, wait }: Runtime): Promise<Job | undefined> {
  const give = clock.now().getTime() + config.timings.reconcileWaitSeconds * 1000;
  for (;;) {
    const job = await store.jobs.get(jobId);
    const now = clock.now();
    if (!job || job.stepUntil === undefined || job.stepUntil < now.toISOString()) return job;
    if (now.getTime() >= give) return undefined;
    await wait(1);
  }
}

async function settle(job: Job, end: Reason, runtime: Runtime): Promise<Reconciled> {
  const log = runtime.log.with({ jobId: job.id });
  const metrics = runtime.metrics.with({ jobId: job.id });
  const problems: string[] = [];
  await runtime.withSession(job.pool, async (xapi) => {
    const deps = { ...runtime, log, metrics, job, xapi };
    // The compiler does not see that the payments are those of the job's own machine.
    const payments = PAYMENTS[job.machine] as Payments<MachineName>;
    for (const [debt, pay] of payments)
      try {
        await pay(deps, end);
      } catch (error) {
        const { name, message } = translate(error);
        log.warn('a debt could not be paid yet', { debt, error: name, reason: message });
        problems.push(sentence(message));
      }
    if (problems.length > 0) {
      const why = problems.join(' ');
      await runtime.store.jobs.noteOwing(job.id, why);
      if (job.finishedAt === undefined)
        await runtime.store.jobs.warn(job.id, `Not tidied up yet: ${why} ${GOES_ON}`, NOT_TIDIED_UP);
    }
    await warnOfUnfinished(deps, job, end);
    await tellOutcome(deps, end);
  });
  const owed = await releaseVm({ ...runtime, metrics, job });
  return owed.owes.length > 0 ? { state: 'owing', ...owed } : { state: 'settled' };
}

/** Why the execution ended without an outcome: the failure that it was already being undone for, before any other. */
function endOf(job: Job, execution: ExecutionState | undefined): Reason {
  if (job.failure) return job.failure;
  if (!execution)
    return job.status === 'starting'
      ? { name: 'Interrupted', message: 'The job was never started.' }
      : { name: 'Interrupted', message: 'The service was stopped while the job ran.' };
  const { status, error, cause = '' } = execution;
  if (status === 'ABORTED') return { name: 'Interrupted', message: cause || 'The execution was stopped.' };
  if (status === 'TIMED_OUT') return { name: 'TimedOut', message: 'The job took longer than it may.' };
  return errorOfCaught(error === undefined ? undefined : { Error: error, Cause: cause });
}
