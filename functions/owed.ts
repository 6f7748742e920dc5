import { ROUND_SECONDS } from './janitor/finding.ts';
import { type Job, leasedVm } from './job.ts';
import { debtsOfHost, hostGivenUpAt } from './pool/host-away.ts';
import type { BaseRuntime } from './runtime/base.ts';
import { sentence } from './sentence.ts';
import type { Store } from './store.ts';
import { DEBTS, type Debt } from './words.ts';

/** What a job that has ended has still to do, what stands in the way, and what happens next. */
export interface Owed {
  readonly machine: Job['machine'];
  readonly owes: readonly Debt[];
  /** Why the last try to do it failed, for operators. */
  readonly reason?: string;
  /** All of it waits for the job's host, and no longer does the VM: it is free, or will be with the next round. */
  readonly byHost: boolean;
  /** Whether the job has had a VM to itself, which waits for what is not the host's alone. */
  readonly ofVm: boolean;
  /** When the janitor tries again, where that is known. */
  readonly nextTryAt?: string;
  /** The host does not answer; this long at most it is waited for, and the VM with it. */
  readonly hostUntil?: string;
}

/** What the plugin does for a job of each machine. */
const TRANSFER: Readonly<Record<Job['machine'], string>> = { snapshot: 'upload', restore: 'download' };

const toDoOf = (transfer: string): Readonly<Record<Debt, string>> => ({
  plugin: `see its ${transfer} stopped`,
  image: 'delete its unfinished image',
  secret: `take its ${transfer}'s token out of the pool`,
  swap: 'see that the VM has the disk that it is to have, and may start',
  vm: 'destroy the VM that it has made',
  disk: 'destroy the disk that it has made',
  snapshot: 'destroy its snapshot',
  relock: 'lock the VM',
  mark: 'say on the image how its test ended',
  slot: 'give back its place on the host',
});

type OwedDeps = Pick<BaseRuntime, 'clock' | 'config'>;

/** What a job that has ended owes, by its record; undefined where it owes nothing. */
export function owedOf(job: Job, deps: OwedDeps, nextTryAt?: string): Owed | undefined {
  const owes = DEBTS.filter((debt) => job.debts?.has(debt));
  if (owes.length === 0) return undefined;
  const ofHost = debtsOfHost(job, deps);
  const hostUntil = job.debts?.has('plugin') ? hostGivenUpAt(job, deps) : undefined;
  const byHost = owes.every((debt) => ofHost.includes(debt));
  return {
    machine: job.machine,
    owes,
    ...(job.owesBecause !== undefined && { reason: job.owesBecause }),
    byHost,
    ofVm: leasedVm(job) !== undefined,
    ...(nextTryAt !== undefined && { nextTryAt }),
    ...(hostUntil !== undefined && { hostUntil }),
  };
}

/** "delete its unfinished image and lock the VM": what is to be done yet. */
function toDo({ machine, owes }: Pick<Owed, 'machine' | 'owes'>): string {
  const all = toDoOf(TRANSFER[machine]);
  const parts = owes.map((debt) => all[debt]);
  const last = parts.pop() ?? '';
  return parts.length === 0 ? last : `${parts.join(', ')} and ${last}`;
}

/**
 * What is owed and what happens next, in sentences.
 * @param host how the host is called before whoever reads it
 * @param reason why the last try failed, as whoever reads it may hear it
 */
export function owedText(
  owed: Owed,
  { host, reason }: { readonly host: string; readonly reason: string | undefined },
): string {
  const { nextTryAt } = owed;
  const why = reason === undefined ? '' : ` The last try failed: ${sentence(reason)}`;
  const again = `The janitor tries again every ${ROUND_SECONDS / 60} minutes${nextTryAt === undefined ? '' : `, next at ${nextTryAt}`}`;
  const until = hostText(owed, host);
  return `It has still to ${toDo(owed)}.${why}${until} ${again}.`;
}

function hostText({ ofVm, byHost, hostUntil }: Owed, host: string): string {
  const itWaits = `That waits until ${host} answers or has left the pool`;
  if (byHost) return ` ${itWaits}${ofVm ? ', and the VM does not wait with it' : ''}.`;
  if (hostUntil === undefined || !ofVm) return '';
  return ` The VM waits for ${host} until ${hostUntil}, and for the round after that.`;
}

/** When the janitor begins its next round, by its last one; undefined where that does not say it. */
export async function nextRound(store: Store, now: Date): Promise<string | undefined> {
  const last = await store.janitorReports.last();
  // A round that somebody started by hand does not tell when the next one is due.
  if (!last || last.dryRun || last.actor !== undefined) return undefined;
  const next = new Date(Date.parse(last.startedAt) + ROUND_SECONDS * 1000);
  return next > now ? next.toISOString() : undefined;
}
