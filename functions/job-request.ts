import { randomUUID } from 'node:crypto';
import type { MachineName } from '../statemachine/contract.ts';
import { expiryOf } from './clock.ts';
import { isFinished, type Job, type JobOf, orAsItWas } from './job.ts';
import { giveBack, takeQuota } from './quota.ts';
import { bindKey, jobOfKey, KEY_SECONDS, type Repeatable } from './request-key.ts';
import type { Runtime } from './runtime/executions.ts';
import { asJobError, translate } from './translate.ts';

/** What the requests for all kinds of jobs may say. */
export interface JobRequest extends Repeatable {
  /** The new job's id, where somebody has put it on record before; the same id makes the same job. */
  readonly jobId?: string;
  /** The caller's project: the job is its. */
  readonly project?: string;
}

/** A job as it is to be put on record, and what begins it then. */
export interface Prepared<J extends Job> {
  readonly job: J;
  begin(): Promise<void>;
}

/** What the requests for one kind of job have of their own. */
export interface Asking<J extends Job> {
  /** Looks whether it could begin, and changes nothing. */
  prepare(id: string): Promise<Prepared<J>>;
  /** Takes away what the request has made that came to nothing. */
  undo(job: J): Promise<unknown>;
}

/**
 * Starts a job, or finds the one that this request started before. Each write leaves a record before its effect, so that a
 * failure half-way is undone or found by the janitor.
 */
export async function askForJob<M extends MachineName>(
  machine: M,
  wish: JobRequest,
  runtime: Runtime,
  { prepare, undo }: Asking<JobOf<M>>,
): Promise<{ job: JobOf<M>; created: boolean }> {
  const { store, log } = runtime;
  const earlier = await jobOfKey(machine, wish, runtime);
  if (earlier) return { job: earlier, created: false };
  const id = wish.jobId ?? randomUUID();
  // This comes before any pool is asked, so that a refusal costs little.
  await takeQuota('jobs', wish.project, id, runtime);
  const ready = async () => {
    const prepared = await prepare(id);
    return { ...prepared, other: await bindKey(machine, wish, id, runtime) };
  };
  const { job, begin, other } = await ready().catch(async (error: unknown) => {
    await giveBack('jobs', wish.project, id, runtime);
    throw error;
  });
  if (other) {
    await giveBack('jobs', wish.project, id, runtime);
    return { job: other, created: false };
  }
  try {
    if (!(await store.jobs.create(job)))
      return { job: orAsItWas(await store.jobs.get(id), job), created: false };
  } catch (error) {
    // It may be there all the same. The id of a scheduled one may be another tick's, whose job goes on.
    if (wish.jobId === undefined) await abandon(job, wish, error, runtime, undo);
    throw translate(error);
  }
  try {
    await begin();
    if (wish.idempotency)
      await store.leases.takeKey(wish.idempotency.key, id, runtime.clock.now(), KEY_SECONDS.served);
  } catch (error) {
    const running = await abandon(job, wish, error, runtime, undo);
    if (!running) throw translate(error);
    log.warn('a job runs although its request failed', { jobId: id, reason: translate(error).message });
    return { job: running, created: true };
  }
  // The job runs, whether or not it can be read at this moment.
  return { job: orAsItWas(await store.jobs.get(id).catch(() => undefined), job), created: true };
}

/**
 * Undoes a request half-way: the job becomes terminal, never removed, so that an execution of it finds itself dead. One
 * whose execution is at work already, because only the reply to its start was lost, goes on, and is the answer.
 */
async function abandon<J extends Job>(
  job: J,
  wish: Repeatable,
  error: unknown,
  { store, clock, config }: Runtime,
  undo: Asking<J>['undo'],
): Promise<J | undefined> {
  const ttl = expiryOf(clock.now(), config.retainJobsDays);
  const outcome = { status: 'failed', error: asJobError(error), finishedAt: clock.now(), ttl } as const;
  if (!(await store.jobs.finish(job.id, outcome, { onlyInPhase: 'Requested' }))) {
    const now = await store.jobs.get(job.id);
    if (now && !isFinished(now)) return orAsItWas(now, job);
  }
  if (wish.idempotency) await store.leases.releaseKey(wish.idempotency.key, job.id);
  await undo(job);
  return undefined;
}
