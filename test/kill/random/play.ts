import { isDeepStrictEqual } from 'node:util';
import type { Job } from '../../../functions/job.ts';
import { POOL_NAME } from '../../support/servers.ts';
import { type Told, wrongInPool, wrongWithJobs } from '../ended.ts';
import { outcomesWrong, slotsWatched } from '../watched.ts';
import { startWorld, type World } from '../world.ts';
import { byChance } from './chance.ts';
import { plantImage } from './foreign-image.ts';
import { type Operator, operatorOf } from './operator.ts';
import { type Action, INSTALLATIONS, type Plan, VMS } from './plan.ts';

/** What became of a schedule. */
export interface Played {
  /** What was not as it must be, a line each. */
  readonly wrong: readonly string[];
  /** How many jobs ended how: `succeeded`, or the name of their error. */
  readonly ended: Readonly<Record<string, number>>;
  /** The services' logs. */
  readonly logs: readonly string[];
}

const SLOTS = 1;
/** Nothing waits for a limit here, and a busy machine must not be taken for one that hangs. */
const LIMIT_SPEED = 2;
/** Between two of the janitor's rounds at the end: enough for a job that is taken for one that is just starting. */
const ROUND_SECONDS = 130;
const ROUNDS = 8;

/** Plays a schedule in a world of its own, and looks at what is left when all of it has ended. */
export async function play(plan: Plan): Promise<Played> {
  await using starting = new AsyncDisposableStack();
  const pool = { vms: VMS, hosts: 2, diskMib: 1 };
  const one = await startWorld({ pool, slots: SLOTS, limitSpeed: LIMIT_SPEED });
  starting.defer(() => one.close());
  const other = await startWorld({ beside: one, slots: SLOTS, limitSpeed: LIMIT_SPEED });
  starting.defer(() => other.close());
  const worlds = [one, other];
  const operator = await operatorOf(one.pool);
  starting.use(operator);
  const stage: Stage = { worlds, operator, vms: one.pool.vms().map(({ uuid }) => uuid), jobs: [[], []] };
  const planted = await plantImage(one, stage.vms[0] ?? '');
  const before = await one.pool.inventory();
  const slots = slotsWatched(one.glance, SLOTS * INSTALLATIONS);
  const decide = byChance(plan.seed, plan.percent);
  for (const { wire } of worlds) Object.assign(wire, { decide, onCall: slots.onCall });

  const underWay: Promise<unknown>[] = [];
  for (const { after, ...action } of plan.actions) {
    await one.clock.sleep(after);
    // Refused by xapi or by the API, as it may be: what counts is what it leaves.
    underWay.push(act(action as Action, stage).catch(() => {}));
  }
  await Promise.all(underWay);

  const look = async () => {
    await operator.finish();
    const jobs = (await Promise.all(worlds.map(jobsOf))).flat();
    const images = one.glance.images();
    return [
      ...wrongWithJobs(jobs.map(toldOf), images, new Set([planted.id])),
      ...wrongInPool(one.pool, before, await one.pool.inventory(), operator),
      ...(await wrongInTables(stage)),
      ...(isDeepStrictEqual(
        images.find(({ id }) => id === planted.id),
        planted,
      )
        ? []
        : ['the image of somebody else is changed, or gone']),
    ];
  };
  // What fails goes on failing while jobs are at work, but not for ever.
  await one.clock.sleep(ROUND_SECONDS);
  for (const { wire } of worlds) wire.decide = () => undefined;
  let wrong = await look();
  for (let round = 0; round < ROUNDS && wrong.length > 0; round += 1) {
    await one.clock.sleep(ROUND_SECONDS);
    for (const world of worlds) await world.janitor();
    wrong = await look();
  }
  const jobs = (await Promise.all(worlds.map(jobsOf))).flat();
  const logs = worlds.flatMap(({ logs }) => logs);
  const ended: Record<string, number> = {};
  for (const { status, error } of jobs)
    ended[error?.name ?? status] = (ended[error?.name ?? status] ?? 0) + 1;
  return { wrong: [...wrong, ...slots.wrong(), ...outcomesWrong(jobs, logs)], ended, logs };
}

interface Stage {
  readonly worlds: readonly World[];
  readonly operator: Operator;
  readonly vms: readonly string[];
  /** The ids of the jobs of each installation. */
  readonly jobs: readonly string[][];
}

async function act(action: Action, { worlds, operator, vms, jobs }: Stage): Promise<void> {
  const world = 'by' in action ? worlds[action.by] : worlds[0];
  const ofWorld = 'by' in action ? jobs[action.by] : undefined;
  const vm = ('vm' in action && vms[action.vm]) || '';
  if (!world) return;
  const request = async (more: object) => {
    const { body } = await world.ask('POST', '/snapshots', { vm, ...more });
    if (body?.id) ofWorld?.push(body.id);
  };
  switch (action.do) {
    case 'snapshot':
      return request({});
    case 'backup':
      return request({ backup: { type: 'daily', keep: action.keep } });
    case 'cancel':
      if (ofWorld && ofWorld.length > 0)
        await world.ask('DELETE', `/snapshots/${ofWorld[action.job % ofWorld.length]}`, undefined, 'cancel');
      return;
    case 'kill':
      return world.kill();
    case 'janitor':
      return void (await world.janitor());
    case 'operator snapshots':
      return operator.takeSnapshot(vm);
    case 'operator reverts':
      return operator.revert(vm, action.snapshot);
    case 'operator migrates': {
      // Those on the shared SR.
      const shared = vms[VMS / 2 + (action.vm % (VMS / 2))] ?? '';
      return operator.migrate(shared, world.pool.hosts[action.host]?.uuid ?? '');
    }
    case 'operator destroys':
      return operator.destroy(vm);
  }
}

async function jobsOf({ service }: World): Promise<Job[]> {
  return Array.fromAsync(service.runtime.store.jobs.each('all'));
}

function toldOf({ id, status, finishedAt, debts, open, imageGoneAt }: Job): Told {
  const owes = [...(debts ?? []), ...(open === undefined ? [] : ['the lease'])];
  return { id, status, owes, imageGone: imageGoneAt !== undefined, ...(finishedAt && { finishedAt }) };
}

/** No lease, slot or message is left in either installation. */
async function wrongInTables({ worlds, vms }: Stage): Promise<string[]> {
  const wrong: string[] = [];
  for (const world of worlds) {
    const { store } = world.service.runtime;
    for (const vm of vms) {
      const holder = await store.leases.holderOfVm(POOL_NAME, vm);
      if (holder !== undefined) wrong.push(`the lease of ${vm}: job ${holder} has it`);
    }
    const { slots, queue } = await world.lookAround();
    if (slots.length > 0) wrong.push(`slots: ${slots.join(', ')}`);
    if (queue > 0) wrong.push(`messages: ${queue}`);
  }
  return wrong;
}
