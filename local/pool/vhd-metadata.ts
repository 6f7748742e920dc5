import { type FileHandle, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { decodeFooter, type Footer } from './vhd-footer.ts';
import { blockCount, footerBytes, headerBytes, headerOffset, VhdError } from './vhd-format.ts';
import { decodeHeader, type Header, type Parent } from './vhd-header.ts';
import { readExactly } from './vhd-io.ts';

/** What a child's header says of its parent, but for the locators, which depend on the child's place. */
export async function describeParent(parentPath: string, uuid: string): Promise<Omit<Parent, 'locators'>> {
  const { mtime } = await stat(parentPath);
  return { uuid, name: basename(parentPath), modifiedAt: mtime };
}

/** @throws VhdError when a structure is damaged */
export async function readMetadata(file: FileHandle): Promise<{ footer: Footer; header: Header }> {
  const footer = decodeFooter(await readFooter(file));
  const header = decodeHeader(await readExactly(file, headerOffset, headerBytes), footer.type);
  if (header.batEntries < blockCount(footer.virtualBytes))
    throw new VhdError(`A BAT of ${header.batEntries} entries is too short for ${footer.virtualBytes} bytes`);
  return { footer, header };
}

/** The footer at the end, or, where a write was cut off, its copy at the beginning, as libvhd reads it. */
export async function readFooter(file: FileHandle): Promise<Buffer> {
  const { size } = await file.stat();
  const last = await readExactly(file, Math.max(0, size - footerBytes), footerBytes);
  try {
    decodeFooter(last);
    return last;
  } catch {
    return readExactly(file, 0, footerBytes);
  }
}
