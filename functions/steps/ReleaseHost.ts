import type { FinalStatus, MachineName } from '../../statemachine/contract.ts';
import { expiryOf } from '../clock.ts';
import type { Reason } from '../errors.ts';
import { isSnapshot, type Job, leasedVm } from '../job.ts';
import type { CountName } from '../metrics.ts';
import { errorOfCaught, outcomeOf } from '../outcome.ts';
import { debtsOfHost } from '../pool/host-away.ts';
import { releaseSlotOf } from '../queue/wake.ts';
import { giveBack } from '../quota.ts';
import { lambdaLines } from '../runtime/lines.ts';
import { failedBeforeItBegan } from '../schedules/made-up.ts';
import { noteEnd } from '../schedules/outcome.ts';
import { sentence } from '../sentence.ts';
import { type StepDeps, step } from '../step.ts';
import { slotsOfHost, slotsOfSr } from '../store/counters.ts';
import { NOT_ROTATED, NOT_TIDIED_UP } from '../told.ts';
import { warnOfUnfinished } from '../unfinished.ts';
import { DEBTS, type Debt } from '../words.ts';

/**
 * Gives the slot back. Pays `slot`, but for an upload that a host which is away may still be at: that host takes no
 * other in its place. The slot of the SR, which other hosts use too, goes back in any case.
 */
export async function releaseSlot(
  deps: Pick<StepDeps, 'store' | 'job' | 'clock' | 'config' | 'wake' | 'log'>,
): Promise<void> {
  const { store } = deps;
  const job = (await store.jobs.get(deps.job.id)) ?? deps.job;
  if (!job.debts?.has('slot')) return;
  if (job.srUuid !== undefined) await releaseSlotOf(slotsOfSr(job.pool, job.srUuid), job.id, deps);
  if (job.debts.has('plugin')) return;
  if (job.group !== undefined) await releaseSlotOf(slotsOfHost(job.group), job.id, deps);
  await store.jobs.pay(job.id, 'slot');
}

const METRIC = {
  snapshot: {
    succeeded: 'JobSucceeded',
    failed: 'JobFailed',
    cancelled: 'JobCancelled',
    skipped: 'JobSkipped',
  },
  restore: {
    succeeded: 'RestoreSucceeded',
    failed: 'RestoreFailed',
    cancelled: 'RestoreCancelled',
    skipped: 'RestoreSkipped',
  },
  test: {
    succeeded: 'RestoreTestSucceeded',
    failed: 'RestoreTestFailed',
    cancelled: 'RestoreTestCancelled',
    skipped: 'RestoreTestCancelled',
  },
} as const satisfies Record<MachineName | 'test', Record<FinalStatus, CountName>>;

/** Tells the outcome, once. What is still owed then is a warning of a job that succeeded. */
export async function tellOutcome(
  { store, clock, config, log, metrics, ...deps }: StepDeps,
  failure: Reason,
): Promise<FinalStatus> {
  const job = (await store.jobs.get(deps.job.id)) ?? deps.job;
  const outcome = outcomeOf(job, failure);
  const told = await store.jobs.finish(job.id, {
    ...outcome,
    finishedAt: clock.now(),
    ttl: expiryOf(clock.now(), config.retainJobsDays),
  });
  if (told) {
    log.info('job ended', { status: outcome.status, error: outcome.error?.name });
    metrics.count(METRIC[!isSnapshot(job) && job.request.test ? 'test' : job.machine][outcome.status]);
  }
  const ended = told ?? (await store.jobs.get(job.id));
  // A run whose job came to nothing is the tick's to make up.
  if (ended && !failedBeforeItBegan(ended)) await noteEnd(ended, { store, clock, log, metrics });
  return outcome.status;
}

/** What is owed still, and whether all of it waits for a host that is away: then the VM does not wait with it. */
export interface Owed {
  readonly owes: readonly Debt[];
  readonly byHost: boolean;
}

/** Frees the VM, last of all, when nothing is owed but what a host that is away must answer for. */
export async function releaseVm(
  deps: Pick<StepDeps, 'store' | 'metrics' | 'job' | 'clock' | 'config'>,
): Promise<Owed> {
  const { store, metrics } = deps;
  const job = (await store.jobs.get(deps.job.id)) ?? deps.job;
  const owes = DEBTS.filter((debt) => job.debts?.has(debt));
  if (owes.includes('relock')) metrics.count('VmLeftUnlocked');
  const ofHost = debtsOfHost(job, deps);
  const byHost = owes.length > 0 && owes.every((debt) => ofHost.includes(debt));
  if (owes.length > 0 && !byHost) return { owes, byHost };
  const vm = leasedVm(job);
  if (vm !== undefined) await store.leases.releaseVm(job.pool, vm, job.id);
  if (byHost) return { owes, byHost };
  if (isStillSaid(job)) {
    const done = `${DONE} ${deps.clock.now().toISOString()}: nothing is owed any more.`;
    await store.jobs.warn(job.id, done, done);
  }
  await giveBack('jobs', job.project, job.id, deps);
  await store.jobs.settle(job.id);
  return { owes, byHost };
}

/** How a warning ends that something is still owed, and how the one begins that says it no longer is. */
export const GOES_ON = 'xensnap goes on trying.';
const DONE = 'Tidied up at';

function isStillSaid({ warnings = [] }: Job): boolean {
  const said = warnings.some((warning) => warning.endsWith(GOES_ON));
  return said && !warnings.some((warning) => warning.startsWith(DONE));
}

/** Gives the slot back, tells the outcome, and frees the VM if nothing is owed; what is owed, reconcile pays. */
export const handler = step('ReleaseHost', { needs: [], runtime: lambdaLines }, async (state, deps) => {
  await releaseSlot(deps);
  const job = await deps.store.jobs.get(deps.job.id);
  if (state.rotationFailure) {
    const { message } = errorOfCaught(state.rotationFailure);
    await deps.store.jobs.warn(
      deps.job.id,
      `Older backups were not deleted: ${sentence(message)} The next one tries again.`,
      NOT_ROTATED,
    );
  }
  if (state.cleanupFailure) await warnOfDebts(deps, job, errorOfCaught(state.cleanupFailure));
  const failure = errorOfCaught(state.failure);
  if (state.failure) await warnOfUnfinished(deps, job, failure);
  const status = await tellOutcome(deps, failure);
  await releaseVm(deps);
  return { status };
});

async function warnOfDebts({ store }: StepDeps, job: Job | undefined, problem: Reason): Promise<void> {
  const owed = DEBTS.filter((debt) => job?.debts?.has(debt)).join(', ');
  if (owed === '' || !job) return;
  await store.jobs.noteOwing(job.id, problem.message);
  await store.jobs.warn(
    job.id,
    `Not tidied up yet (${owed}): ${sentence(problem.message)} ${GOES_ON}`,
    NOT_TIDIED_UP,
  );
}
