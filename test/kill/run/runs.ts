import { isFinished, type Job } from '../../../functions/job.ts';
import type { MachineName } from '../../../statemachine/contract.ts';
import { RUNS, type RunName } from '../cells/cell.ts';
import type { Call } from '../wire/call.ts';
import type { Answer, World } from '../world.ts';
import { always, type Decide } from './strike.ts';

/** What came of a request. */
export interface Ended {
  /** Undefined where the request was refused. */
  readonly job: Job | undefined;
  readonly answer: Answer;
  /** How often the plugin began to send or to fetch an image's data, whoever counts its tries. */
  readonly transfers: number;
}

/** What all backups of the matrix are called. */
export const BACKUP = { backup: { type: 'kill', keep: 1 } };

/** The VM that images go into, halted, with a disk that every host sees. */
export const INTO = 'into-1';

/** The request has no answer at all. */
export const UNANSWERED = 0;

/** What jobs are of: the VM that is imaged, and the image that is restored. */
export interface Subject {
  readonly vm: string;
  readonly image: string;
}

/** The requests for each machine's jobs. */
export const PATH: Readonly<Record<MachineName, string>> = { snapshot: '/snapshots', restore: '/restores' };

/** What a run's request asks for. */
export function wishOf(run: RunName, { vm, image }: Subject): object {
  if (run === 'restore-test') return { image, test: true, boot: true };
  if (run === 'restore-into' || run === 'restore-into-undone') return { image, into: INTO };
  if (RUNS[run] === 'restore') return { image };
  return { vm, ...(run === 'backup' && BACKUP) };
}

/** Runs one job until its outcome is told and nobody works on it; what it owes then is for the janitor. */
export async function runOnce(
  world: World,
  subject: Subject,
  run: RunName,
  { decide = () => undefined, patience }: { decide?: Decide | undefined; patience?: number | undefined } = {},
): Promise<Ended> {
  const base = BASE[run]?.(world) ?? (() => undefined);
  world.wire.forget();
  world.wire.decide = (call) => decide(call) ?? base(call);
  const answer = await world
    .ask('POST', PATH[RUNS[run]], wishOf(run, subject))
    .catch((): Answer => ({ status: UNANSWERED, body: undefined }));
  // Of a service that was killed before it could answer, a job may be there all the same; one of before may still call.
  const id: string | undefined = answer.status === 202 ? answer.body.id : world.wire.newJob();
  if (id !== undefined) await ended(world, id, patience);
  await world.killed();
  await world.service.settled();
  // Reconcile may be what it was killed in.
  await world.killed();
  if (run === 'owing') {
    world.wire.decide = decide;
    // A round that fails is made again in a quarter of an hour.
    await world.janitor().catch(() => undefined);
    await world.killed();
  }
  const transfers = world.wire.calls.filter(
    ({ state, name }) => state === 'plugin' && /^(PUT|GET) image\/file$/.test(name),
  ).length;
  const job = id === undefined ? undefined : await world.service.runtime.store.jobs.get(id);
  return { answer, transfers, job };
}

/** Real seconds after which a job that is not over is left to the janitor. */
const ENDED_SECONDS = 90;
/** Real milliseconds between two looks, each of which costs as much as a write of the job's own. */
const LOOK_MS = 100;

/**
 * Waits for a job's outcome, whichever service tells it, and for the end of its execution, if there still is one; but not
 * longer than so many real seconds.
 */
export async function ended(world: World, id: string, patience = ENDED_SECONDS): Promise<void> {
  const giveUp = Date.now() + patience * 1000;
  while (Date.now() < giveUp) {
    await world.killed();
    const { store, executions } = world.service.runtime;
    const job = await store.jobs.get(id).catch(() => undefined);
    if (job && isFinished(job)) {
      const execution = await executions.describe(job).catch(() => undefined);
      if (execution?.status !== 'RUNNING') return;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

const REFUSED = {
  kind: 'error',
  code: 'RBAC_PERMISSION_DENIED',
  params: ['planted', 'No permission'],
} as const;

/** What goes wrong in a run anyway. */
const BASE: Readonly<Partial<Record<RunName, (world: World) => Decide>>> = {
  undone: () =>
    always({ state: 'PollUpload', to: 'xapi', name: 'host.call_plugin:status' }, { ...REFUSED }, 1),
  'restore-cut': () =>
    always({ state: 'PollDownload', to: 'xapi', name: 'host.call_plugin:status' }, { ...REFUSED }, 1),
  'restore-undone': () => always({ state: 'CreateVm', to: 'xapi', name: 'VIF.create' }, { ...REFUSED }),
  'restore-into-undone': () =>
    always({ state: 'FinishRestore', to: 'xapi', name: 'VM.get_by_uuid' }, { ...REFUSED }),
  stopped: (world) => stoppedAt(world, { state: 'PollUpload', name: 'host.call_plugin:status', nth: 1 }),
  'restore-stopped': (world) => stoppedAt(world, { state: 'CreateVm', name: 'VIF.create', nth: 1 }),
  owing: () => (call) =>
    call.name === 'secret.destroy' && call.state !== 'janitor'
      ? { kind: 'error', code: 'INTERNAL_ERROR', params: ['planted'] }
      : undefined,
};

/** Stops the execution at a call, which goes on all the same. */
function stoppedAt(world: World, at: Pick<Call, 'state' | 'name' | 'nth'>): Decide {
  return ({ state, name, nth, job = '' }) => {
    if (state === at.state && name === at.name && nth === at.nth)
      void world.stopExecution(job).catch(() => undefined);
    return undefined;
  };
}

/** Makes what a run needs before its job: the VM that it goes into; for a backup, another that it replaces. */
export async function prepare(world: World, { vm }: Subject, run: RunName): Promise<void> {
  if (/^restore-into/.test(run) && !world.pool.vms().some(({ name }) => name === INTO))
    await world.pool.addVm({ name: INTO, powerState: 'Halted', diskMib: 2, sr: 'nfs' });
  if (run !== 'backup') return;
  if (world.glance.images().some(({ properties }) => properties.image_type === 'backup')) return;
  await ended(world, await world.request(vm, BACKUP));
}
