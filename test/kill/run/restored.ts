import { readFile } from 'node:fs/promises';
import type { Job, RestoreJob } from '../../../functions/job.ts';
import { isKept } from '../../../functions/restored.ts';
import type { Surroundings } from '../../../local/leftovers.ts';
import { takeAway } from '../../support/restoring.ts';
import type { World } from '../world.ts';

/** What a restore is to bring back: the VM's name, and the bytes of its disk. */
export interface Original {
  readonly name: string;
  readonly disk: Buffer;
}

/** A restore that has succeeded has made something; any other, and any test, is to have left nothing. */
export function hasRestored(job: Job | undefined): job is RestoreJob {
  return job?.machine === 'restore' && job.status === 'succeeded' && isKept(job);
}

/**
 * The surroundings without what a restore has brought back: one VM with one disk, and nothing else. What one has exchanged
 * in a VM that is there shows when it is exchanged back.
 */
export function withoutRestored(
  before: Surroundings,
  now: Surroundings,
  { restoredVmUuid, diskUuid = '', into }: RestoreJob,
): Surroundings {
  if (into) {
    const { vms, vdis, files, locks } = before.pool;
    return { ...now, pool: { ...now.pool, vms, vdis, files, locks } };
  }
  const { vms, vdis, files, locks } = now.pool;
  const isDisk = (file: string) => file.replace(/\.\w+$/, '') === diskUuid;
  const pool = {
    ...now.pool,
    vms: vms.filter(({ uuid }) => uuid !== restoredVmUuid),
    vdis: vdis.filter(({ uuid }) => uuid !== diskUuid),
    files: Object.fromEntries(
      Object.entries(files).map(([sr, names]) => [sr, names.filter((name) => !isDisk(name))]),
    ),
    locks: Object.fromEntries(Object.entries(locks).filter(([uuid]) => uuid !== restoredVmUuid)),
  };
  return { ...now, pool };
}

/** What is wrong with what a restore has brought back, a line each. */
export async function restoredWrong(
  { pool }: World,
  { restoredVmUuid, diskUuid = '', into, vmBefore }: RestoreJob,
  original: Original,
): Promise<string[]> {
  const { vms, vdis } = await pool.inventory();
  const vm = vms.find(({ uuid }) => uuid === (into?.uuid ?? restoredVmUuid));
  const disk = vdis.find(({ uuid }) => uuid === diskUuid);
  if (!vm) return ['the restore succeeded, and its VM is not there'];
  if (!disk) return ['the restore succeeded, and its disk is not there'];
  const found: string[] = [];
  for (const [what, { otherConfig }] of [['VM', vm] as const, ['disk', disk] as const])
    for (const key of Object.keys(otherConfig))
      if (key.startsWith('xensnap')) found.push(`the restored ${what} has the tag ${key}`);
  if (!into && vm.name !== original.name) found.push(`the restored VM is named "${vm.name}"`);
  if (!into && vm.vifs.length !== 1) found.push(`the restored VM has ${vm.vifs.length} interfaces`);
  const kept = vdis.find(({ uuid }) => uuid === vmBefore?.disk.uuid);
  if (into && !kept?.name.startsWith('[before the restore of '))
    found.push(`the disk that the VM had is ${kept ? `named "${kept.name}"` : 'gone'}`);
  const [ref, record] = Object.entries(pool.records('VM')).find(([, { uuid }]) => uuid === vm.uuid) ?? [];
  if (Object.keys(record?.blocked_operations ?? {}).length > 0)
    found.push('the restored VM cannot be started');
  const disks = Object.values(pool.records('VBD')).filter(({ VM, type }) => VM === ref && type === 'Disk');
  const refs = disks.map(({ VDI }) => pool.records('VDI')[String(VDI)]?.uuid);
  if (refs.length !== 1 || refs[0] !== diskUuid)
    found.push(`the restored VM has the disks ${refs.join(', ')}`);
  const bytes = await readFile(pool.modelPath(diskUuid));
  const { length } = original.disk;
  if (!bytes.subarray(0, length).equals(original.disk) || bytes.subarray(length).some((byte) => byte !== 0))
    found.push('the restored disk is not what it was');
  return found;
}

/** Takes away what was restored, as its operator would. */
export function takeRestoredAway({ service }: World, job: RestoreJob): Promise<void> {
  return takeAway(service, job);
}
