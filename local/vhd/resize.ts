import { type FileHandle, open } from 'node:fs/promises';
import { endOfData } from './blocks.ts';
import { withVirtualBytes } from './footer.ts';
import {
  BITMAP_BYTES,
  BLOCK_BYTES,
  blockCount,
  FOOTER_BYTES,
  HEADER_OFFSET,
  SECTOR_BYTES,
  sectorAligned,
  UNUSED_BLOCK,
  VhdError,
} from './format.ts';
import { encodeHeader, type Header } from './header.ts';
import { readExactly, writeExactly } from './io.ts';
import { readMetadata, restoreFooter } from './metadata.ts';

/**
 * Makes a disk larger, as `vhd-util resize` does: where the BAT has no room to grow, what stands behind it makes way, locators
 * right behind the new BAT, blocks at the file's end. Its parent stays as small as it is. Nobody may have the file open.
 * @throws VhdError when the disk would become smaller
 */
export async function growVhd(path: string, virtualBytes: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const { footer, header } = await readMetadata(path, file);
    if (virtualBytes < footer.virtualBytes) throw new VhdError(`${path} cannot become smaller`);
    const grown = withEntries(header, blockCount(virtualBytes));
    const bat = Buffer.alloc(4 * grown.batEntries, 0xff);
    (await readExactly(file, header.batOffset, 4 * header.batEntries)).copy(bat);
    await moveBlocks(file, bat, endOfData(grown, Buffer.alloc(bat.length, 0xff)));
    const locators = header.parent?.locators ?? [];
    const texts = await Promise.all(
      locators.map(({ offset, spaceBytes }) => readExactly(file, offset, spaceBytes)),
    );
    for (const [at, { offset }] of (grown.parent?.locators ?? []).entries())
      await writeExactly(file, texts[at] ?? Buffer.alloc(0), offset);
    await writeExactly(file, bat, grown.batOffset);
    await writeExactly(file, encodeHeader(grown), HEADER_OFFSET);
    await writeExactly(file, withVirtualBytes(await readExactly(file, 0, FOOTER_BYTES), virtualBytes), 0);
    await restoreFooter(file, endOfData(grown, bat));
  } finally {
    await file.close();
  }
}

/** The header with a BAT of so many entries, its locators behind that. */
function withEntries(header: Header, batEntries: number): Header {
  const { batOffset, parent } = header;
  let at = batOffset + sectorAligned(4 * batEntries);
  const locators = parent?.locators.map((locator) => {
    const offset = Math.max(locator.offset, at);
    at = offset + locator.spaceBytes;
    return { ...locator, offset };
  });
  return { batOffset, batEntries, parent: parent && { ...parent, locators: locators ?? [] } };
}

/** Copies each block that begins before `from` to the file's end, and says so in the BAT. */
async function moveBlocks(file: FileHandle, bat: Buffer, from: number): Promise<void> {
  const whole = BITMAP_BYTES + BLOCK_BYTES;
  const places: number[] = [];
  for (let at = 0; at < bat.length; at += 4) places.push(bat.readUInt32BE(at));
  const held = places.filter((sector) => sector !== UNUSED_BLOCK);
  let end = Math.max(from, ...held.map((sector) => sector * SECTOR_BYTES + whole));
  for (const [block, sector] of places.entries()) {
    if (sector === UNUSED_BLOCK || sector * SECTOR_BYTES >= from) continue;
    await writeExactly(file, await readExactly(file, sector * SECTOR_BYTES, whole), end);
    bat.writeUInt32BE(end / SECTOR_BYTES, 4 * block);
    end += whole;
  }
}
