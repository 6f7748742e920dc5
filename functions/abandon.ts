import { expiryOf } from './clock.ts';
import { isFinished, type Job, orAsItWas } from './job.ts';
import type { Repeatable } from './request-key.ts';
import type { Runtime } from './runtime/executions.ts';
import { asJobError } from './translate.ts';

/**
 * Undoes a request half-way: the job becomes terminal, never removed, so that an execution of it finds itself dead. One
 * whose execution is at work already, because only the reply to its start was lost, goes on, and is the answer.
 * @param undo takes away what the request has made
 */
export async function abandon<J extends Job>(
  job: J,
  wish: Repeatable,
  error: unknown,
  runtime: Runtime,
  undo: (job: J, runtime: Runtime) => Promise<unknown>,
): Promise<J | undefined> {
  const { store, clock } = runtime;
  const ttl = expiryOf(clock.now(), runtime.config.retainJobsDays);
  const outcome = { status: 'failed', error: asJobError(error), finishedAt: clock.now(), ttl } as const;
  if (!(await store.jobs.finish(job.id, outcome, { onlyInPhase: 'Requested' }))) {
    const now = await store.jobs.get(job.id);
    if (now && !isFinished(now)) return orAsItWas(now, job);
  }
  if (wish.idempotency) await store.leases.releaseKey(wish.idempotency.key, job.id);
  await undo(job, runtime);
  return undefined;
}
