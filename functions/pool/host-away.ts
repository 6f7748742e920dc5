import { isCode } from '../../xapi/errors.ts';
import { XensnapError } from '../errors.ts';
import { isSnapshot, type Job, type SnapshotJob } from '../job.ts';
import { type StepDeps, secondsSince } from '../step.ts';
import { isReplyLost } from '../translate.ts';
import type { Debt } from '../words.ts';

/**
 * Whether a call of the plugin found the pool there and the host away: xapi says so, or passed the call on and never
 * answered. A pool that cannot be reached at all says nothing of its host.
 */
export function isHostAway(error: unknown): boolean {
  return isReplyLost(error) || isCode(error, 'HOST_OFFLINE', 'CANNOT_CONTACT_HOST', 'HOST_STILL_BOOTING');
}

/** Notes that the host was asked in vain, since when if it was asked in vain before; answers the seconds since. */
async function noteHostAway({ job, store, clock }: StepDeps<'hostAwaySince'>): Promise<number> {
  const now = clock.now().toISOString();
  const since = (await store.jobs.get(job.id))?.hostAwaySince ?? now;
  await store.jobs.record(job.id, { hostAwaySince: since });
  return secondsSince({ clock }, since);
}

/** How many seconds a host may be away before its job goes on without it. */
function patience(job: Job, { config }: Pick<StepDeps, 'config'>): number {
  return job.closing ? config.timings.hostAwayClosingSeconds : config.timings.hostAwaySeconds;
}

/** Notes that the host was asked in vain; answers whether that has been so for too long. */
export async function giveUpHost(deps: StepDeps<'hostAwaySince'>): Promise<boolean> {
  return (await noteHostAway(deps)) >= patience(deps.job, deps);
}

/** @throws HostUnreachable when the host has been away for too long; the pool answers all the while */
export async function refuseAfterLong(deps: StepDeps<'hostAwaySince'>, cause: unknown): Promise<void> {
  const seconds = await noteHostAway(deps);
  if (seconds < patience(deps.job, deps)) return;
  throw new XensnapError(
    'HostUnreachable',
    `Host ${hostNamed(deps.job)} has not answered for ${Math.round(seconds / 60)} minutes, though its pool does.`,
    { cause },
  );
}

/** The host has answered. */
export async function noteHostBack({ job, store }: StepDeps<'hostAwaySince'>): Promise<void> {
  if (job.hostAwaySince !== undefined) await store.jobs.record(job.id, {}, ['hostAwaySince']);
}

/**
 * Whether the job's host has been away for too long for the VM to wait for it. What only that host can answer for then
 * stays owed, an upload until it says that nothing uploads any more or has left the pool.
 */
function isHostGivenUp(job: Job, { clock, config }: Pick<StepDeps, 'clock' | 'config'>): boolean {
  return (
    job.hostAwaySince !== undefined && secondsSince({ clock }, job.hostAwaySince) >= patience(job, { config })
  );
}

/** Until when the VM waits for the job's host, where that does not answer and has not been given up; ISO 8601. */
export function hostGivenUpAt(job: Job, deps: Pick<StepDeps, 'clock' | 'config'>): string | undefined {
  if (job.hostAwaySince === undefined || isHostGivenUp(job, deps)) return undefined;
  return new Date(Date.parse(job.hostAwaySince) + patience(job, deps) * 1000).toISOString();
}

/** Whether the upload has the snapshot's disk attached in its host's dom0, or had, as far as that is known. */
export function isExported(job: SnapshotJob): boolean {
  return job.readsChain === false || job.uploadSource === 'export';
}

/**
 * Whether the snapshot may go. One whose upload may still run stays: until the host has been away for too long, and then
 * too where the disk is attached in its dom0. A reader of files that comes back harms nothing and is told to stop.
 * @throws StillOwed while the host may yet answer
 */
export function maySnapshotGo(job: SnapshotJob, deps: Pick<StepDeps, 'clock' | 'config'>): boolean {
  if (!job.debts?.has('plugin')) return true;
  if (!isHostGivenUp(job, deps))
    throw new XensnapError('StillOwed', 'The upload has not stopped yet: its snapshot stays.');
  return !isExported(job);
}

/**
 * Those debts of a job that wait for its host: with nothing else owed, the VM is free. A snapshot may be on storage that
 * only that host sees.
 */
export function debtsOfHost(job: Job, deps: Pick<StepDeps, 'clock' | 'config'>): readonly Debt[] {
  if (!isHostGivenUp(job, deps)) return [];
  if (!isSnapshot(job)) return ['plugin', 'slot', 'disk'];
  return ['plugin', 'slot', 'snapshot', ...(job.relockAwaitsHost ? (['relock'] as const) : [])];
}

/** The host's name when the job chose it, for messages. */
export function hostNamed(job: Job): string {
  return `"${job.hostName ?? job.hostUuid ?? 'unknown'}"`;
}
