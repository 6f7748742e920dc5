import { randomUUID } from 'node:crypto';
import {
  type Caught,
  type FactBefore,
  type FactName,
  type FactOf,
  type JobInput,
  MACHINES,
  type MachineOf,
  type ResultOf,
  STEPS,
  type StateBefore,
  type StepName,
} from '../statemachine/contract.ts';
import type { Session } from '../xapi/session.ts';
import { XensnapError } from './errors.ts';
import {
  type Facts,
  isSnapshot,
  type Job,
  type JobOf,
  type JobWith,
  type RestoreJob,
  type Retrying,
  type SnapshotJob,
} from './job.ts';
import { errorOfCaught } from './outcome.ts';
import { unlessVmGone } from './pool/gone.ts';
import { retryingAfter } from './retry-rules.ts';
import { type BaseRuntime, lambdaBase, nobodyWoken } from './runtime/base.ts';
import type { JobFacts } from './store/jobs.ts';
import type { Store } from './store.ts';
import { translate } from './translate.ts';
import type { Debt } from './words.ts';

/** The part of a Lambda's time that is kept for what follows the last call to the pool: the logout and the record. */
const RESERVE_SECONDS = 10;

/**
 * What a step works with: the job as it was when the step began, and a session of the job's pool.
 * @typeParam Writes the facts that may be put on record: none unless said
 * @typeParam Has the facts that are surely on the job's record
 * @typeParam J the kind of job: any unless said
 */
export interface StepDeps<
  in Writes extends FactName = never,
  Has extends FactName = never,
  out J extends Job = Job,
> extends Pick<
    BaseRuntime,
    'config' | 'glance' | 'glanceToken' | 'withSession' | 'clock' | 'wait' | 'wake' | 'log' | 'metrics'
  > {
  readonly store: Store<Writes>;
  readonly job: JobWith<Has, J>;
  readonly xapi: Session;
}

/** The same, where the job is a snapshot's. */
export type SnapshotDeps<Writes extends FactName = never, Has extends FactName = never> = StepDeps<
  Writes,
  Has,
  SnapshotJob
>;

/** The same, where the job is a restore's. */
export type RestoreDeps<Writes extends FactName = never, Has extends FactName = never> = StepDeps<
  Writes,
  Has,
  RestoreJob
>;

/** What a step of that name works with: a job of its machine, or of one of them, with the facts that it needs. */
export type DepsOf<S extends StepName, Needs extends FactName = never> = StepDeps<
  FactOf<S>,
  Needs,
  JobOf<MachineOf<S>>
>;

export type StepFunction<S extends StepName, Needs extends FactName> = (
  state: StateBefore<S>,
  deps: DepsOf<S, Needs>,
) => Promise<ResultOf<S>>;

/** A Lambda handler; `in` gives the same handler within another runtime than the process's own. */
export interface StepHandler<S extends StepName> {
  (state: StateBefore<S>): Promise<ResultOf<S>>;
  in(runtime: BaseRuntime): (state: StateBefore<S>) => Promise<ResultOf<S>>;
}

/**
 * Makes the handler of a step: checks that the job still lives and has the facts that the step needs, marks that a step
 * runs and until when, opens one session, always logs out, and gives every error the name on which the state machine
 * routes.
 * @param options.runtime what a Lambda of the step works with beside the base: without it the queue is not in its reach,
 *   wherever it runs
 */
export function step<S extends StepName, const Needs extends FactBefore<S> = never>(
  name: S,
  {
    needs,
    runtime: ofLambda = lambdaBase,
  }: { readonly needs: readonly Needs[]; readonly runtime?: () => BaseRuntime },
  run: StepFunction<S, Needs>,
): StepHandler<S> {
  const running = async (state: StateBefore<S>, runtime: BaseRuntime) => {
    try {
      return await runStep(name, needs, run, state, runtime);
    } catch (error) {
      // The table's own errors too, before and after the step's work.
      throw translate(error);
    }
  };
  const handler = (state: StateBefore<S>) => running(state, ofLambda());
  return Object.assign(handler, {
    in(runtime: BaseRuntime) {
      const own = ofLambda === lambdaBase ? { ...runtime, wake: nobodyWoken } : runtime;
      return (state: StateBefore<S>) => running(state, own);
    },
  });
}

async function runStep<S extends StepName, Needs extends FactName>(
  name: S,
  needs: readonly Needs[],
  run: StepFunction<S, Needs>,
  state: StateBefore<S>,
  runtime: BaseRuntime,
): Promise<ResultOf<S>> {
  const log = runtime.log.with({ jobId: state.jobId, step: name });
  const metrics = runtime.metrics.with({ jobId: state.jobId });
  const began = runtime.clock.now().toISOString();
  const fence = randomUUID();
  const job = await begin(name, state, fence, runtime);
  const store = { ...runtime.store, jobs: runtime.store.jobs.behind({ jobId: job.id, fence }) };
  let xapiCalls = 0;
  let retrying: Retrying | undefined;
  const inSession = async (xapi: Session) => {
    try {
      return await run(state, { ...runtime, store, log, metrics, job: withFacts(name, job, needs), xapi });
    } catch (error) {
      throw isSnapshot(job) ? await unlessVmGone(xapi, job, error) : error;
    } finally {
      // The logout is still to come.
      xapiCalls = xapi.callCount > 0 ? xapi.callCount + 1 : 0;
    }
  };
  try {
    const seconds = STEPS[name].lambdaSeconds - RESERVE_SECONDS;
    const result = await runtime.withSession(job.pool, inSession, { seconds });
    if (xapiCalls > 0)
      await housekeeping(log, 'that the pool answered', () => runtime.store.pools.reached(job.pool));
    return result;
  } catch (error) {
    const translated = translate(error);
    log.warn('step failed', { error: translated.name, reason: translated.message });
    retrying = retryingAfter(name, translated, job, runtime.clock.now());
    if (translated.name === 'PoolUnreachable')
      await housekeeping(log, 'that the pool did not answer', () =>
        notePoolUnreachable(job.pool, translated.message, { ...runtime, metrics }),
      );
    throw translated;
  } finally {
    metrics.seconds('StepSeconds', secondsSince(runtime, began), { step: name });
    // Without it, reconcile waits a little longer for a step that has ended.
    await housekeeping(log, 'that the step has ended', () => store.jobs.end(job.id, xapiCalls, retrying));
  }
}

/** Does what decides no job, and least of all one whose step has done its work: a failure is logged. */
export async function housekeeping(
  log: BaseRuntime['log'],
  what: string,
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    const { name, message } = translate(error);
    log.warn('housekeeping failed', { what, error: name, reason: message });
  }
}

async function begin(
  name: StepName,
  { jobId, failure }: JobInput & { readonly failure?: Caught },
  fence: string,
  { store, clock }: BaseRuntime,
): Promise<Job> {
  const until = new Date(clock.now().getTime() + STEPS[name].lambdaSeconds * 1000);
  const cleanup = isOfCleanup(name);
  const status = name === 'TakeVm' || name === 'InspectVm' || name === 'InspectImage' ? 'queued' : 'running';
  const job = cleanup
    ? await store.jobs.beginCleanup(jobId, name, until, { fence, failure: failure && errorOfCaught(failure) })
    : await store.jobs.begin(jobId, name, status, until, fence);
  if (job && !cleanup && clock.now().toISOString() > job.deadline) {
    await store.jobs.end(jobId, 0);
    throw new XensnapError('TimedOut', 'The job took longer than it may.');
  }
  if (job) return job;
  const found = await store.jobs.get(jobId);
  if (!found) throw new XensnapError('JobUnknown', `There is no job ${jobId}.`);
  if (found.cancelRequested) throw new XensnapError('JobCancelled', 'The job was cancelled.');
  throw new XensnapError('JobClosing', 'The job is being closed: the step does not start.');
}

/** Whether a step is of a cleanup line: no machine has one of another's there among those that do the job. */
function isOfCleanup(name: StepName): boolean {
  return Object.values(MACHINES).some(({ cleanup }) => (cleanup as readonly StepName[]).includes(name));
}

/** The job, known to be the step's and to have these facts. Throws if not: its record is damaged then. */
function withFacts<S extends StepName, F extends FactName>(
  name: S,
  job: Job,
  needs: readonly F[],
): JobWith<F, JobOf<MachineOf<S>>> {
  const { forward, cleanup }: { forward: readonly StepName[]; cleanup: readonly StepName[] } =
    MACHINES[job.machine];
  if (!forward.includes(name) && !cleanup.includes(name))
    throw new XensnapError('Internal', `The job ${job.id} is a ${job.machine}, which has no step ${name}.`);
  const missing = needs.find((fact) => (job as Partial<Facts>)[fact] === undefined);
  if (missing === undefined) return job as JobWith<F, JobOf<MachineOf<S>>>;
  throw new XensnapError('Internal', `The record of job ${job.id} lacks "${missing}".`);
}

async function notePoolUnreachable(
  pool: string,
  reason: string,
  { store, clock, config, metrics }: BaseRuntime,
): Promise<void> {
  const pauseUntil = new Date(clock.now().getTime() + config.timings.poolPauseSeconds * 1000);
  if (await store.pools.unreachable(pool, reason, pauseUntil)) metrics.with({ pool }).count('PoolPaused');
}

/** Puts a debt on record before its effect. Throws when the job is being closed: then the effect must not be. */
export async function owe<F extends FactName>(
  { store, job }: StepDeps<F>,
  debt: Debt,
  facts: JobFacts<F> = {},
): Promise<Job> {
  const owing = await store.jobs.owe(job.id, debt, facts);
  if (owing) return owing;
  throw new XensnapError('JobClosing', 'The job is being closed: nothing new is begun.');
}

/** Puts facts on record. */
export async function record<F extends FactName>(
  { store, job }: StepDeps<F>,
  facts: JobFacts<F>,
): Promise<void> {
  await store.jobs.record(job.id, facts);
}

/** Seconds between a time on record and now. */
export function secondsSince(deps: Pick<StepDeps, 'clock'>, time: string): number {
  return (deps.clock.now().getTime() - Date.parse(time)) / 1000;
}

/** Whether a call of the pool that was sent then, and got no answer, may still do what it was to do. */
export function mayArrive(deps: Pick<StepDeps, 'clock' | 'config'>, sentAt: string | undefined): boolean {
  return sentAt !== undefined && secondsSince(deps, sentAt) < deps.config.timings.snapshotLostSeconds;
}
