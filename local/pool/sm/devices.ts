import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Host, PoolState } from '../state.ts';
import { settleDevice } from './device.ts';

/** Brings what control domains have written to a disk until now into its own file. */
export async function settleDevices(pool: PoolState, vdi: string): Promise<void> {
  for (const host of pool.hosts) if (writes(pool, host).includes(vdi)) await settleDevice(pool, host, vdi);
}

/** A control domain goes down with its devices: what was written to them is on the disks, and these stay attached. */
export async function loseDevices(pool: PoolState, host: Host): Promise<void> {
  for (const vdi of writes(pool, host)) await settleDevice(pool, host, vdi);
  await rm(join(host.dom0Root, 'dev'), { recursive: true, force: true });
}

/** The disks that a host's control domain has plugged to write to them. */
function writes({ db }: PoolState, { ref }: Host): string[] {
  return db
    .referrers('VBD', 'VM', db.text('host', ref, 'control_domain'))
    .filter((vbd) => db.flag('VBD', vbd, 'currently_attached') && db.text('VBD', vbd, 'mode') === 'RW')
    .map((vbd) => db.text('VBD', vbd, 'VDI'))
    .filter((vdi) => db.has('VDI', vdi));
}
