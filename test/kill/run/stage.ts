import { readFile } from 'node:fs/promises';
import { type Cell, isSlowCell } from '../cells/cell.ts';
import { startWorld, type World, type WorldOptions } from '../world.ts';
import type { Happening } from './events.ts';
import type { Original } from './restored.ts';
import { ended } from './runs.ts';

/** Kinds of worlds: cells that share one need the same. */
export const STAGES = ['fast', 'slow', 'hosts', 'real'] as const;
export type StageKind = (typeof STAGES)[number];

/** On a busy machine a plugin is not taken for a host that is away, since waits pass faster here than limits do. */
const PATIENT = { service: { timings: { hostAwaySeconds: 3000 } } };

const OPTIONS: Readonly<Record<StageKind, WorldOptions>> = {
  fast: PATIENT,
  // Calls time out after two seconds.
  slow: { ...PATIENT, limitSpeed: 12 },
  // The third and the fourth VM have their disks where every host sees them, and so has what is restored.
  hosts: { pool: { vms: 4 } },
  // So slow that seconds of the clock can be told from those of a busy machine.
  real: { speed: 4, limitSpeed: 1 },
};

export function stageOf(cell: Cell): StageKind {
  if (!('event' in cell)) return isSlowCell(cell) ? 'slow' : 'fast';
  if (cell.event === 'job cancelled') return 'real';
  return cell.event.startsWith('host dies') ? 'hosts' : 'fast';
}

/** A world in which cells are run one after the other, and what watches the job of the present one. */
export interface Stage {
  readonly world: World;
  readonly kind: StageKind;
  happening: Happening | undefined;
  onStep: (step: string) => void;
  /** The image to be restored, and what was on its disk. */
  readonly image: string;
  readonly original: Original;
  /** What is being waited for, to name where a cell hangs. */
  doing?: string;
}

export async function openStage(kind: StageKind): Promise<Stage> {
  const watching: Pick<Stage, 'happening' | 'onStep'> = { happening: undefined, onStep: () => {} };
  const world = await startWorld({
    ...OPTIONS[kind],
    onState: (job, state) => watching.happening?.entered(job, state),
    onStep(job, step) {
      watching.onStep(step);
      watching.happening?.began(job, step);
    },
  });
  // Every VM is locked from now on, as it is to be after each cell, and one of the images will be restored.
  const { vm } = targetOf(world);
  const made = world.pool.vms().map(async ({ uuid }) => ({ uuid, id: await world.request(uuid) }));
  const images = await Promise.all(made);
  for (const { id } of images) await ended(world, id);
  await world.service.settled();
  const image = images.find(({ uuid }) => uuid === vm)?.id ?? '';
  await forgetImages(world, image);
  const { name, rootVdi } = world.pool.vm(vm);
  // Nobody writes to it.
  const disk = await readFile(world.pool.modelPath(rootVdi?.uuid ?? ''));
  return Object.assign(watching, { world, kind, image, original: { name, disk } });
}

/** The VM to be imaged, and the host on which it runs: a member, not the master. */
export function targetOf({ pool }: Pick<World, 'pool'>): { vm: string; host: string } {
  const host = pool.hosts.find(({ isMaster }) => !isMaster) ?? pool.hosts[0];
  const residents = pool.vms().filter(({ uuid }) => {
    const record = Object.values(pool.records('VM')).find((each) => each.uuid === uuid);
    return record?.resident_on === host?.ref;
  });
  const vm = residents.at(-1) ?? pool.vms().at(-1);
  return { vm: vm?.uuid ?? '', host: host?.uuid ?? '' };
}

/** Deletes all images but one, as their owner would. */
export async function forgetImages({ glance, imageToken }: World, kept: string): Promise<void> {
  for (const { id } of glance.images().filter((image) => image.id !== kept))
    await fetch(`${glance.url}/v2/images/${id}`, {
      method: 'DELETE',
      headers: { 'x-auth-token': imageToken },
    });
}
