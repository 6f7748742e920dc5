import { open } from 'node:fs/promises';
import { HEADER_OFFSET, SECTOR_BYTES, SECTORS_PER_BLOCK, VhdError } from './format.ts';
import { encodeHeader } from './header.ts';
import { writeExactly } from './io.ts';
import { refitLocators, writeLocators } from './locators.ts';
import { describeParent, readMetadata } from './metadata.ts';
import { openVhd, type Vhd } from './vhd.ts';

/**
 * Gives a child another parent, or its parent under another name: UUID, name, time and locators, as
 * `vhd-util modify -p` does. The disk's content is the caller's affair.
 * @throws VhdError when `path` is no child, or the parent's path is too long for its locators
 */
export async function reparent(path: string, parentPath: string): Promise<void> {
  const parent = await openVhd(parentPath);
  await parent.close();
  const described = await describeParent(parentPath, parent.uuid);
  const file = await open(path, 'r+');
  try {
    const { header } = await readMetadata(path, file);
    if (!header.parent) throw new VhdError(`${path} is a dynamic disk and cannot have a parent`);
    const locators = refitLocators(header.parent.locators, path, parentPath);
    await writeLocators(file, locators, path, parentPath);
    await writeExactly(file, encodeHeader({ ...header, parent: { ...described, locators } }), HEADER_OFFSET);
  } finally {
    await file.close();
  }
}

/** What a merge has just done: the parent has no footer at its end between the first and the second. */
export type MergeStep = 'block allocated' | 'block merged';

/**
 * Writes what a child holds into its parent, as `vhd-util coalesce` does, block by block. The child stays: its own
 * children must be given the parent before it is unlinked.
 * @throws VhdError when the two are not child and parent, or the parent is the smaller disk
 */
export async function* mergeIntoParent(childPath: string, parentPath: string): AsyncGenerator<MergeStep> {
  await using stack = new AsyncDisposableStack();
  const child = await openVhd(childPath);
  stack.defer(() => child.close());
  const parent = await openVhd(parentPath);
  stack.defer(() => parent.close());
  if (child.parentUuid !== parent.uuid || child.virtualBytes > parent.virtualBytes)
    throw new VhdError(`${parentPath} is not the parent of ${childPath}`);
  for await (const block of child.heldBlocks()) {
    if (await parent.allocate(block)) yield 'block allocated';
    await copyBlock(child, parent, block);
    yield 'block merged';
  }
}

/** A merge in one go. */
export async function coalesceIntoParent(childPath: string, parentPath: string): Promise<void> {
  for await (const _step of mergeIntoParent(childPath, parentPath));
}

async function copyBlock(child: Vhd, parent: Vhd, block: number): Promise<void> {
  const first = block * SECTORS_PER_BLOCK;
  const count = Math.min(SECTORS_PER_BLOCK, child.virtualBytes / SECTOR_BYTES - first);
  const { data, present } = await child.readSectors(first, count);
  for (let from = present.indexOf(true); from >= 0; from = present.indexOf(true, from)) {
    const gap = present.indexOf(false, from);
    const end = gap < 0 ? count : gap;
    await parent.writeSectors(first + from, data.subarray(from * SECTOR_BYTES, end * SECTOR_BYTES));
    from = end;
  }
}
