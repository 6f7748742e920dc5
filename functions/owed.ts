import { ROUND_SECONDS } from './janitor/finding.ts';
import type { Job } from './job.ts';
import { debtsOfHost, hostGivenUpAt } from './pool/host-away.ts';
import type { BaseRuntime } from './runtime/base.ts';
import { sentence } from './sentence.ts';
import type { Store } from './store.ts';
import { DEBTS, type Debt } from './words.ts';

/** What a job that has ended has still to do, what stands in the way, and what happens next. */
export interface Owed {
  readonly owes: readonly Debt[];
  /** Why the last try to do it failed, for operators. */
  readonly reason?: string;
  /** All of it waits for the job's host, and no longer does the VM: it is free, or will be with the next round. */
  readonly byHost: boolean;
  /** When the janitor tries again, where that is known. */
  readonly nextTryAt?: string;
  /** The host does not answer; this long at most the VM waits for it. */
  readonly hostUntil?: string;
}

const TO_DO: Readonly<Record<Debt, string>> = {
  plugin: 'see its upload stopped',
  image: 'delete its unfinished image',
  secret: "take its upload's token out of the pool",
  vm: 'destroy the VM that it has made',
  disk: 'destroy the disk that it has made',
  snapshot: 'destroy its snapshot',
  relock: 'lock the VM',
  slot: 'give back its place on the host',
};

type OwedDeps = Pick<BaseRuntime, 'clock' | 'config'>;

/** What a job that has ended owes, by its record; undefined where it owes nothing. */
export function owedOf(job: Job, deps: OwedDeps, nextTryAt?: string): Owed | undefined {
  const owes = DEBTS.filter((debt) => job.debts?.has(debt));
  if (owes.length === 0) return undefined;
  const ofHost = debtsOfHost(job, deps);
  const hostUntil = job.debts?.has('plugin') ? hostGivenUpAt(job, deps) : undefined;
  return {
    owes,
    ...(job.owesBecause !== undefined && { reason: job.owesBecause }),
    byHost: owes.every((debt) => ofHost.includes(debt)),
    ...(nextTryAt !== undefined && { nextTryAt }),
    ...(hostUntil !== undefined && { hostUntil }),
  };
}

/** "delete its unfinished image and lock the VM": what is to be done yet. */
export function toDo(owes: readonly Debt[]): string {
  const parts = owes.map((debt) => TO_DO[debt]);
  const last = parts.pop() ?? '';
  return parts.length === 0 ? last : `${parts.join(', ')} and ${last}`;
}

/**
 * What is owed and what happens next, in sentences.
 * @param host how the host is called before whoever reads it
 * @param reason why the last try failed, as whoever reads it may hear it
 */
export function owedText(
  { owes, byHost, nextTryAt, hostUntil }: Owed,
  { host, reason }: { readonly host: string; readonly reason: string | undefined },
): string {
  const why = reason === undefined ? '' : ` The last try failed: ${sentence(reason)}`;
  const again = `The janitor tries again every ${ROUND_SECONDS / 60} minutes${nextTryAt === undefined ? '' : `, next at ${nextTryAt}`}`;
  const until = byHost
    ? ` That waits until ${host} answers or has left the pool, and the VM does not wait with it.`
    : hostUntil === undefined
      ? ''
      : ` The VM waits for ${host} until ${hostUntil}, and for the round after that.`;
  return `It has still to ${toDo(owes)}.${why}${until} ${again}.`;
}

/** When the janitor begins its next round, by its last one; undefined where that does not say it. */
export async function nextRound(store: Store, now: Date): Promise<string | undefined> {
  const last = await store.janitorReports.last();
  // A round that somebody started by hand does not tell when the next one is due.
  if (!last || last.dryRun || last.actor !== undefined) return undefined;
  const next = new Date(Date.parse(last.startedAt) + ROUND_SECONDS * 1000);
  return next > now ? next.toISOString() : undefined;
}
