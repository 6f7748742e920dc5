import { XensnapError } from './errors.ts';
import type { Job } from './job.ts';
import type { Runtime } from './runtime/executions.ts';
import type { Idempotency, SnapshotRequest } from './snapshot-request.ts';

/** Seconds for which an idempotency key is remembered: while the request is served, and once it has made a job. */
export const KEY_SECONDS = { serving: 60, served: 86_400 };

/** The job that this request's key started before. */
export async function jobOfKey(
  { idempotency }: SnapshotRequest,
  { store, clock }: Runtime,
): Promise<Job | undefined> {
  if (!idempotency) return undefined;
  const jobId = await store.leases.jobOfKey(idempotency.key, clock.now());
  const job = jobId === undefined ? undefined : await store.jobs.get(jobId);
  return job && ofSameRequest(job, idempotency);
}

/** Binds the request's key to the new job; answers the job that another request with the key has made by now. */
export async function bindKey(
  { idempotency }: SnapshotRequest,
  job: Job,
  { store, clock }: Runtime,
): Promise<Job | undefined> {
  if (!idempotency) return undefined;
  const holder = await store.leases.takeKey(idempotency.key, job.id, clock.now(), KEY_SECONDS.serving);
  if (holder === job.id) return undefined;
  const other = await store.jobs.get(holder);
  if (other) return ofSameRequest(other, idempotency);
  throw new XensnapError(
    'IdempotencyConflict',
    'A request with this Idempotency-Key is being served. Try again.',
  );
}

/** @throws IdempotencyConflict where the key's job was asked for otherwise than now */
function ofSameRequest(job: Job, { request }: Idempotency): Job {
  if (job.requestDigest === request) return job;
  throw new XensnapError(
    'IdempotencyConflict',
    `This Idempotency-Key was used for another request, from which came the job ${job.id} of the VM "${job.vmName}". Send that request again, or another key.`,
    { details: { jobId: job.id } },
  );
}
