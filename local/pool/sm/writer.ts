import { randomBytes, randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { openVhd } from '../../vhd/vhd.ts';
import type { PoolState } from '../state.ts';
import { isOpen, settleDisk } from './blktap.ts';
import { diskLock, diskPath, storageOf } from './storage.ts';

const SECTOR_BYTES = 512;
const HOT_BYTES = 4 * 1024 * 1024;
const BURSTS_AT_ONCE = 2;
const PAUSE_MILLISECONDS = 100;

/**
 * Writes into a disk and, where there is one, into its model; as its tapdisk if a VM has it attached, and else as a tool
 * would. While blktap has paused the disk, it waits.
 */
export async function writeDisk(
  pool: PoolState,
  vdiRef: string,
  writes: readonly { sector: number; data: Buffer }[],
): Promise<void> {
  const uuid = pool.db.text('VDI', vdiRef, 'uuid');
  const storage = storageOf(pool, pool.db.text('VDI', vdiRef, 'SR'));
  await diskLock(storage, uuid).run(async () => {
    const vhd = await openVhd(diskPath(storage, uuid), { asTapdisk: isOpen(pool, vdiRef) });
    try {
      for (const { sector, data } of writes) {
        await vhd.writeSectors(sector, data);
        await pool.models.write(uuid, sector * SECTOR_BYTES, data);
      }
    } finally {
      await vhd.close();
      // It may have been attached or detached meanwhile.
      if (pool.db.has('VDI', vdiRef)) settleDisk(pool, vdiRef);
    }
  });
}

/** The VM's own disks, which its guest can write: raw ones hold nothing here. */
export function writableDisks({ db }: PoolState, vmRef: string): string[] {
  return db
    .referrers('VBD', 'VM', vmRef)
    .filter((vbd) => db.text('VBD', vbd, 'type') === 'Disk' && db.text('VBD', vbd, 'mode') === 'RW')
    .map((vbd) => db.text('VBD', vbd, 'VDI'))
    .filter((vdi) => db.has('VDI', vdi) && db.map('VDI', vdi, 'sm_config').type !== 'raw');
}

/** How many of a disk's first sectors a busy guest writes to, but for the very first. */
export function hotSectors(sectors: number): number {
  return Math.min(Math.floor(sectors / 2), HOT_BYTES / SECTOR_BYTES);
}

/**
 * One burst of small writes as a busy guest makes them: single sectors among them, and the disk's last. They stay in a
 * small region, so that disks don't grow without end, and leave alone what the guest boots from.
 */
export async function writeBurst(pool: PoolState, vmRef: string): Promise<void> {
  for (const vdi of writableDisks(pool, vmRef)) {
    const sectors = Number(pool.db.text('VDI', vdi, 'virtual_size')) / SECTOR_BYTES;
    const hot = hotSectors(sectors);
    const writes = [1, randomInt(1, 7), randomInt(8, 33)].map((count) => ({
      sector: randomInt(1, Math.max(2, hot - count)),
      data: randomBytes(Math.min(count, hot) * SECTOR_BYTES),
    }));
    await writeDisk(pool, vdi, [...writes, { sector: sectors - 1, data: randomBytes(SECTOR_BYTES) }]);
  }
}

/** Keeps the running guests writing until the pool stops. */
export async function keepWriting(pool: PoolState): Promise<void> {
  while (!pool.stopped.aborted) {
    try {
      await delay(PAUSE_MILLISECONDS, undefined, { ref: false, signal: pool.stopped });
    } catch {
      return;
    }
    const busy = [...pool.guests].filter(
      ([vm, guest]) => guest.writing && pool.db.text('VM', vm, 'power_state') === 'Running',
    );
    for (let count = 0; count < Math.min(BURSTS_AT_ONCE, busy.length); count += 1) {
      const [vm, guest] = busy[randomInt(busy.length)] ?? [];
      if (!vm || !guest?.writing || pool.stopped.aborted) continue;
      // A disk may go while it is written to; the pool says so to whoever asks for it.
      guest.burst = writeBurst(pool, vm).catch(() => undefined);
      await guest.burst;
    }
  }
}
