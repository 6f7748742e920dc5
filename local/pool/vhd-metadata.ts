import { type FileHandle, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { decodeFooter, type Footer } from './vhd-footer.ts';
import { blockCount, footerBytes, headerBytes, headerOffset, sectorAligned, VhdError } from './vhd-format.ts';
import { decodeHeader, type Header, type Parent } from './vhd-header.ts';
import { readExactly } from './vhd-io.ts';

/** @throws VhdError that names the file when a structure is damaged */
export async function readMetadata(
  path: string,
  file: FileHandle,
): Promise<{ footer: Footer; header: Header }> {
  try {
    const footer = decodeFooter((await locateFooter(file)).bytes);
    const header = decodeHeader(await readExactly(file, headerOffset, headerBytes), footer.type);
    if (header.batEntries < blockCount(footer.virtualBytes))
      throw new VhdError(
        `A BAT of ${header.batEntries} entries is too short for ${footer.virtualBytes} bytes`,
      );
    return { footer, header };
  } catch (error) {
    throw error instanceof VhdError ? new VhdError(`${path}: ${error.message}`, { cause: error }) : error;
  }
}

/**
 * The footer and its place at the file's end. Where a write was cut off there, it is the copy from the beginning, as
 * libvhd takes it, and the place is after whatever was left behind.
 */
export async function locateFooter(file: FileHandle): Promise<{ bytes: Buffer; at: number }> {
  const { size } = await file.stat();
  try {
    const at = size - footerBytes;
    const bytes = await readExactly(file, Math.max(0, at), footerBytes);
    decodeFooter(bytes);
    return { bytes, at };
  } catch (error) {
    if (!(error instanceof VhdError)) throw error;
    return { bytes: await readExactly(file, 0, footerBytes), at: sectorAligned(size) };
  }
}

/** What a child's header says of its parent, but for the locators, which depend on the child's place. */
export async function describeParent(parentPath: string, uuid: string): Promise<Omit<Parent, 'locators'>> {
  const { mtime } = await stat(parentPath);
  return { uuid, name: basename(parentPath), modifiedAt: mtime };
}
