import { randomBytes, randomUUID } from 'node:crypto';
import { open } from 'node:fs/promises';
import { BLOCK_BYTES, MAX_VIRTUAL_BYTES } from '../../vhd/format.ts';
import { createDynamicVhd, physicalBytes } from '../../vhd/vhd.ts';
import { XapiFailure } from '../failure.ts';
import type { PoolState, Storage } from '../state.ts';
import { EXTENT_BYTES, isThick, roundUp, takeRoom, vhdVolumeBytes } from './room.ts';
import { diskPath, rawPath } from './storage.ts';
import type { NewDiskFormat } from './types.ts';

const MIB = 1024 ** 2;
/** So much of a new raw volume is seen to have been somebody's; of a larger one, each piece of it once in so many. */
const OLD_DATA_BYTES = 64 * MIB;

/**
 * What becomes of a new disk: raw if its `sm_config` says so (LVHDSR.py, FileSR.py), else what it asks for, or what the SR
 * makes.
 */
export function formatOf(storage: Storage, smConfig: Record<string, string>): NewDiskFormat {
  if (smConfig.type === 'raw' || storage.type === 'rawhba') return 'raw';
  const asked = smConfig['image-format'];
  return asked === 'qcow2' || asked === 'vhd' ? asked : storage.newDisks;
}

/**
 * The size that a disk gets: whole blocks of a VHD, 2 MiB at least (vhdutil.py, validate_and_round_vhd_size), or whole
 * extents of a logical volume.
 * @throws XapiFailure SR_BACKEND_FAILURE_79
 */
export function roundSize(format: NewDiskFormat, bytes: number): number {
  if (format === 'raw') return roundUp(Math.max(bytes, 1), EXTENT_BYTES);
  // QCOW2 of a real SR may be larger; here it is laid out as a VHD.
  if (bytes < 0 || bytes > MAX_VIRTUAL_BYTES) {
    const reason = 'VDI size must be between 1 MB and 2088960 MB';
    throw new XapiFailure('SR_BACKEND_FAILURE_79', '', `VDI Invalid size [opterr=${reason}]`, '');
  }
  return roundUp(Math.max(bytes, BLOCK_BYTES), BLOCK_BYTES);
}

/**
 * Makes an empty disk's file; answers its UUID and size. Needs the SR's lock.
 * @throws XapiFailure SR_BACKEND_FAILURE_44 where a thick SR has no room for all of it, _78 where there is none at all
 */
export async function makeDisk(
  pool: PoolState,
  storage: Storage,
  { format, bytes }: { format: NewDiskFormat; bytes: number },
): Promise<{ uuid: string; virtualBytes: number; heldBytes: number }> {
  const uuid = randomUUID();
  const virtualBytes = roundSize(format, bytes);
  const volumeBytes = format === 'raw' ? virtualBytes : vhdVolumeBytes(virtualBytes);
  if (isThick(storage) && volumeBytes > storage.freeBytes)
    throw new XapiFailure('SR_BACKEND_FAILURE_44', '', 'There is insufficient space', '');
  if (storage.freeBytes <= 0) {
    const reason = 'error 28';
    throw new XapiFailure('SR_BACKEND_FAILURE_78', '', `VDI Creation failed [opterr=${reason}]`, '');
  }
  if (format === 'raw') await makeVolume(rawPath(storage, uuid), virtualBytes);
  else {
    if (format === 'qcow2') storage.qcow2.add(uuid);
    await createDynamicVhd(diskPath(storage, uuid), {
      uuid: randomUUID(),
      virtualBytes,
      createdAt: new Date(),
    });
  }
  // What a raw one reads as nobody has promised.
  if (format !== 'raw') await pool.models.create(uuid, virtualBytes);
  const heldBytes = isThick(storage) ? volumeBytes : await physicalBytes(diskPath(storage, uuid));
  takeRoom(storage, heldBytes);
  return { uuid, virtualBytes, heldBytes };
}

/** A logical volume that nobody has zeroed: it reads as what was there before. */
async function makeVolume(path: string, bytes: number): Promise<void> {
  await using file = await open(path, 'wx');
  await file.truncate(bytes);
  const old = randomBytes(MIB);
  const step = roundUp(Math.max(1, bytes / (OLD_DATA_BYTES / MIB)), MIB);
  for (let at = 0; at < bytes; at += step) await file.write(old, 0, Math.min(MIB, bytes - at), at);
}
