import { XensnapError } from './errors.ts';
import { isFinished, type Job } from './job.ts';
import { nextRound, owedOf, owedText } from './owed.ts';
import { hostNamed } from './pool/host-away.ts';
import type { BaseRuntime } from './runtime/base.ts';
import { sentence } from './sentence.ts';
import type { Store } from './store.ts';

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
  { store, clock, config }: Pick<BaseRuntime, 'clock' | 'config'> & { readonly store: Store },
): Promise<Held> {
  const job = await store.jobs.get(holder);
  if (!job)
    return { message: `The janitor has the VM "${vmName}", to lock it: ask again in a moment.`, details: {} };
  const details = { jobId: job.id, jobStatus: job.status };
  if (!isFinished(job))
    return job.closing
      ? {
          message: `The job ${job.id} has the VM "${vmName}" and is being undone: ask again then.${stuck(job)}`,
          details,
        }
      : { message: `${UNDER_WAY[job.machine](vmName)} by the job ${job.id}.${stuck(job)}`, details };
  const owed = owedOf(job, { clock, config }, await nextRound(store, clock.now()));
  if (!owed)
    return { message: `The job ${job.id} has ended and is giving the VM "${vmName}" back.`, details };
  const { owes, reason = null, nextTryAt = null } = owed;
  const text = owedText(owed, { host: `the host ${hostNamed(job)}`, reason: owed.reason });
  return {
    message: `The job ${job.id} has ended \`${job.status}\` and has the VM "${vmName}" until it has tidied up. ${text}`,
    details: { ...details, owes, reason, nextTryAt },
  };
}

const UNDER_WAY = {
  snapshot: (vm: string) => `The VM "${vm}" is being imaged`,
  restore: (vm: string) => `A disk of the VM "${vm}" is being restored`,
} as const satisfies Record<Job['machine'], (vm: string) => string>;

/**
 * Takes a VM for a job that its request has just made: of many requests at once, one gets it.
 * @param mayBeFree tries to have the holder give it back, and answers whether it may have
 * @throws SnapshotInProgress, which says who has it
 */
export async function takeVm(
  job: Job,
  { uuid, name }: { readonly uuid: string; readonly name: string },
  deps: Pick<BaseRuntime, 'clock' | 'config'> & { readonly store: Store },
  mayBeFree: (holder: string) => Promise<boolean> = async () => false,
): Promise<void> {
  const { store, clock } = deps;
  const take = () => store.leases.takeVm(job.pool, uuid, job.id, clock.now());
  let holder = await take();
  if (holder !== job.id && (await mayBeFree(holder))) holder = await take();
  if (holder === job.id) return;
  const { message, details } = await whyHeld(name, holder, deps);
  throw new XensnapError('SnapshotInProgress', message, { details });
}

/** What the holder itself waits for, where its step fails and is tried again. */
function stuck({ retrying, phase }: Job): string {
  if (retrying?.state !== phase) return '';
  const { state, failures, message, nextTryBy } = retrying;
  return ` Its step ${state} has failed ${failures === 1 ? 'once' : `${failures} times`} and is tried again by ${nextTryBy}: ${sentence(message)}`;
}
