import type { SnapshotJob } from '../../../functions/job.ts';
import { isFinished } from '../../../functions/job.ts';
import type { RunName } from '../cells/cell.ts';
import type { Answer, World } from '../world.ts';
import { always, type Decide } from './strike.ts';

/** What came of a request. */
export interface Ended {
  /** Undefined where the request was refused. */
  readonly job: SnapshotJob | undefined;
  readonly answer: Answer;
}

/** What all backups of the matrix are called. */
export const BACKUP = { backup: { type: 'kill', keep: 1 } };

/** The request has no answer at all. */
export const UNANSWERED = 0;

/** Runs one job until its outcome is told and nobody works on it; what it owes then is for the janitor. */
export async function runOnce(
  world: World,
  vm: string,
  run: RunName,
  decide: Decide = () => undefined,
): Promise<Ended> {
  if (run === 'backup') await backUp(world, vm);
  const base = BASE[run](world);
  world.wire.forget();
  world.wire.decide = (call) => decide(call) ?? base(call);
  const answer = await world
    .ask('POST', '/snapshots', { vm, ...(run === 'backup' && BACKUP) })
    .catch((): Answer => ({ status: UNANSWERED, body: undefined }));
  // Of a service that was killed before it could answer, a job may be there all the same.
  const taken = () => world.wire.calls.find(({ job }) => job !== undefined)?.job;
  const id: string | undefined = answer.status === 202 ? answer.body.id : taken();
  if (id !== undefined) await ended(world, id);
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
  return { answer, job: id === undefined ? undefined : await world.service.runtime.store.jobs.snapshot(id) };
}

/** Real seconds after which a job that is not over is left to the janitor. */
const ENDED_SECONDS = 90;

/** Waits for a job's outcome, whichever service tells it, and for the end of its execution, if there still is one. */
export async function ended(world: World, id: string): Promise<void> {
  const giveUp = Date.now() + ENDED_SECONDS * 1000;
  while (Date.now() < giveUp) {
    await world.killed();
    const { store, executions } = world.service.runtime;
    const job = await store.jobs.snapshot(id).catch(() => undefined);
    const execution = await executions.describe({ machine: 'snapshot', id }).catch(() => undefined);
    if (job && isFinished(job) && execution?.status !== 'RUNNING') return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const BASE: Readonly<Record<RunName, (world: World) => Decide>> = {
  plain: () => () => undefined,
  backup: () => () => undefined,
  undone: () =>
    always(
      { state: 'PollUpload', to: 'xapi', name: 'host.call_plugin:status' },
      { kind: 'error', code: 'RBAC_PERMISSION_DENIED', params: ['planted', 'No permission'] },
      1,
    ),
  stopped: (world) => (call) => {
    if (call.state !== 'PollUpload' || call.name !== 'host.call_plugin:status' || call.nth > 1)
      return undefined;
    const id = call.job ?? '';
    void world.as('cancel', id, () =>
      world.service.runtime.executions.stop({ machine: 'snapshot', id }, 'planted'),
    );
    return undefined;
  },
  owing: () => (call) =>
    call.name === 'secret.destroy' && call.state !== 'janitor'
      ? { kind: 'error', code: 'INTERNAL_ERROR', params: ['planted'] }
      : undefined,
};

/** Sees to it that there is a backup that the next one replaces. */
async function backUp(world: World, vm: string): Promise<void> {
  if (world.glance.images().length > 0) return;
  await world.job(await world.request(vm, BACKUP));
}
