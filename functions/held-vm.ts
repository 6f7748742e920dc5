import { ROUND_SECONDS } from './janitor/finding.ts';
import { isFinished, type Job } from './job.ts';
import type { Store } from './store.ts';
import { DEBTS } from './words.ts';

/** Why a VM cannot be had, and what it waits for. */
export interface Held {
  readonly message: string;
  /** For the API's answer; `jobId` only where a job has the VM. */
  readonly details: Readonly<Record<string, unknown>>;
}

/**
 * Says what the holder of a VM's lease does with it: a job works, is being undone, or has ended and still owes
 * something. A holder of which there is no record is the janitor, which locks VMs under a lease of its own.
 */
export async function whyHeld(
  vmName: string,
  holder: string,
  { store, now }: { readonly store: Store; readonly now: Date },
): Promise<Held> {
  const job = await store.jobs.get(holder);
  if (!job)
    return { message: `The janitor has the VM "${vmName}", to lock it: ask again in a moment.`, details: {} };
  const details = { jobId: job.id, jobStatus: job.status };
  if (!isFinished(job))
    return job.closing
      ? { message: `The job ${job.id} has the VM "${vmName}" and is being undone: ask again then.`, details }
      : { message: `The VM "${vmName}" is being imaged by the job ${job.id}.`, details };
  const owes = DEBTS.filter((debt) => job.debts?.has(debt));
  if (owes.length === 0)
    return { message: `The job ${job.id} has ended and is giving the VM "${vmName}" back.`, details };
  const next = await nextRound(store, now);
  return {
    message: `The job ${job.id} has ended \`${job.status}\` and still owes: ${owes.join(', ')}${because(job)}. The VM "${vmName}" is free when that is done: the janitor tries again every ${ROUND_SECONDS / 60} minutes${next ? `, next at ${next}` : ''}.`,
    details: { ...details, owes, reason: job.owesBecause ?? null, nextTryAt: next ?? null },
  };
}

function because({ owesBecause }: Job): string {
  return owesBecause === undefined ? '' : `, since: ${owesBecause.replace(/\.$/, '')}`;
}

/** When the janitor begins its next round, by its last one; undefined where that does not say it. */
async function nextRound(store: Store, now: Date): Promise<string | undefined> {
  const last = await store.janitorReports.last();
  // A round that somebody started by hand does not tell when the next one is due.
  if (!last || last.dryRun || last.actor !== undefined) return undefined;
  const next = new Date(Date.parse(last.startedAt) + ROUND_SECONDS * 1000);
  return next > now ? next.toISOString() : undefined;
}
