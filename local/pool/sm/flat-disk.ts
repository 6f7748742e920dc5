import { open, stat } from 'node:fs/promises';
import { BLOCK_BYTES, SECTOR_BYTES, SECTORS_PER_BLOCK } from '../../vhd/format.ts';
import { openVhd, type Vhd } from '../../vhd/vhd.ts';
import type { PoolState } from '../state.ts';
import { smConfig } from './records.ts';
import { chainOfFiles } from './scan.ts';
import { diskPath, rawPath, storageOf } from './storage.ts';

/** A disk that nobody writes to, as its whole chain makes it: what a block device of it would read as. */
export interface FlatDisk {
  readonly virtualBytes: number;
  /** The numbers of the 2 MiB blocks that some file of the chain holds, ascending. */
  readonly blocks: readonly number[];
  /** A block's data; the last one of a disk may be shorter. */
  read(block: number): Promise<Buffer>;
}

/** The chain is looked up anew for each block, since the coalescer may merge it meanwhile. */
export async function openFlatDisk(pool: PoolState, vdi: string): Promise<FlatDisk> {
  const virtualBytes = Number(pool.db.text('VDI', vdi, 'virtual_size'));
  if (smConfig(pool, vdi).type === 'raw') return openRawDisk(pool, vdi, virtualBytes);
  const blocks = new Set<number>();
  await withChain(pool, vdi, async (chain) => {
    for (const vhd of chain) for await (const block of vhd.heldBlocks()) blocks.add(block);
  });
  return {
    virtualBytes,
    blocks: [...blocks].sort((one, other) => one - other),
    read: (block) => withChain(pool, vdi, (chain) => readBlock(chain, block, virtualBytes)),
  };
}

/** A logical volume, all of which is there; of one that nobody has made with `VDI.create` there is no file to read. */
async function openRawDisk(pool: PoolState, vdi: string, virtualBytes: number): Promise<FlatDisk> {
  const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
  const path = rawPath(storage, pool.db.text('VDI', vdi, 'uuid'));
  const { size } = await stat(path);
  return {
    virtualBytes,
    blocks: Array.from({ length: Math.ceil(size / BLOCK_BYTES) }, (_, block) => block),
    async read(block) {
      const data = Buffer.alloc(Math.min(BLOCK_BYTES, virtualBytes - block * BLOCK_BYTES));
      await using file = await open(path, 'r');
      await file.read(data, 0, data.length, block * BLOCK_BYTES);
      return data;
    },
  };
}

/** Runs `work` on the disk's open files, leaf first, while their chain stays as it is. */
async function withChain<T>(
  pool: PoolState,
  vdi: string,
  work: (chain: readonly Vhd[]) => Promise<T>,
): Promise<T> {
  const storage = storageOf(pool, pool.db.text('VDI', vdi, 'SR'));
  const path = diskPath(storage, pool.db.text('VDI', vdi, 'uuid'));
  return storage.chains.run(async () => {
    await using stack = new AsyncDisposableStack();
    const chain: Vhd[] = [];
    for (const file of await chainOfFiles(storage, path)) {
      const vhd = await openVhd(file.path);
      stack.defer(() => vhd.close());
      chain.push(vhd);
    }
    return await work(chain);
  });
}

async function readBlock(chain: readonly Vhd[], block: number, virtualBytes: number): Promise<Buffer> {
  const bytes = Math.min(BLOCK_BYTES, virtualBytes - block * BLOCK_BYTES);
  const result = Buffer.alloc(bytes);
  const missing = new Set(Array.from({ length: bytes / SECTOR_BYTES }, (_, sector) => sector));
  for (const vhd of chain) {
    if (missing.size === 0) break;
    // A base copy may be the smaller disk.
    const sectors = Math.min(bytes, vhd.virtualBytes - block * BLOCK_BYTES) / SECTOR_BYTES;
    if (sectors <= 0) continue;
    const { data, present } = await vhd.readSectors(block * SECTORS_PER_BLOCK, sectors);
    for (const sector of missing) {
      if (!present[sector]) continue;
      data.copy(result, sector * SECTOR_BYTES, sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
      missing.delete(sector);
    }
  }
  return result;
}
