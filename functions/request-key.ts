import type { MachineName } from '../statemachine/contract.ts';
import { XensnapError } from './errors.ts';
import { type Job, type JobOf, nameOf } from './job.ts';
import type { Runtime } from './runtime/executions.ts';
import type { Idempotency } from './snapshot-request.ts';

/** Seconds for which an idempotency key is remembered: while the request is served, and once it has made a job. */
export const KEY_SECONDS = { serving: 60, served: 86_400 };

/** A request that may come again. */
export interface Repeatable {
  readonly idempotency?: Idempotency;
}

/** The job of that machine that this request's key started before. */
export async function jobOfKey<M extends MachineName>(
  machine: M,
  { idempotency }: Repeatable,
  { store, clock }: Runtime,
): Promise<JobOf<M> | undefined> {
  if (!idempotency) return undefined;
  const jobId = await store.leases.jobOfKey(idempotency.key, clock.now());
  const job = jobId === undefined ? undefined : await store.jobs.get(jobId);
  return job && ofSameRequest(machine, job, idempotency);
}

/** Binds the request's key to the new job; answers the job that another request with the key has made by now. */
export async function bindKey<M extends MachineName>(
  machine: M,
  { idempotency }: Repeatable,
  jobId: string,
  { store, clock }: Runtime,
): Promise<JobOf<M> | undefined> {
  if (!idempotency) return undefined;
  const holder = await store.leases.takeKey(idempotency.key, jobId, clock.now(), KEY_SECONDS.serving);
  if (holder === jobId) return undefined;
  const other = await store.jobs.get(holder);
  if (other) return ofSameRequest(machine, other, idempotency);
  throw new XensnapError(
    'IdempotencyConflict',
    'A request with this Idempotency-Key is being served. Try again.',
  );
}

/** @throws IdempotencyConflict where the key's job was asked for otherwise than now */
function ofSameRequest<M extends MachineName>(machine: M, job: Job, { request }: Idempotency): JobOf<M> {
  if (job.requestDigest === request && job.machine === machine) return job as JobOf<M>;
  throw new XensnapError(
    'IdempotencyConflict',
    `This Idempotency-Key was used for another request, from which came the job ${job.id} of ${nameOf(job)}. Send that request again, or another key.`,
    { details: { jobId: job.id } },
  );
}
