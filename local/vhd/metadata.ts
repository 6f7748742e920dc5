import { type FileHandle, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { endOfData } from './blocks.ts';
import { decodeFooter, type Footer } from './footer.ts';
import { blockCount, FOOTER_BYTES, HEADER_BYTES, HEADER_OFFSET, VhdError } from './format.ts';
import { decodeHeader, type Header, type Parent } from './header.ts';
import { readExactly, writeExactly } from './io.ts';

/** What a file says of itself, and where its data ends. */
export interface Metadata {
  readonly footer: Footer;
  readonly header: Header;
  /** Where the footer is, or belongs. */
  readonly end: number;
  /** False while somebody writes to the file, or had to stop in the middle. */
  readonly hasFooter: boolean;
}

/**
 * Reads a file's metadata; its footer from the copy at the beginning where there is none at the end, as libvhd does.
 * @throws VhdError that names the file when a structure is damaged
 */
export async function readMetadata(path: string, file: FileHandle): Promise<Metadata> {
  try {
    const { size } = await file.stat();
    const atEnd = await footerAt(file, Math.max(0, size - FOOTER_BYTES));
    const footer = atEnd ?? decodeFooter(await readExactly(file, 0, FOOTER_BYTES));
    const header = decodeHeader(await readExactly(file, HEADER_OFFSET, HEADER_BYTES), footer.type);
    if (header.batEntries < blockCount(footer.virtualBytes))
      throw new VhdError(
        `A BAT of ${header.batEntries} entries is too short for ${footer.virtualBytes} bytes`,
      );
    if (atEnd) return { footer, header, end: size - FOOTER_BYTES, hasFooter: true };
    const bat = await readExactly(file, header.batOffset, 4 * header.batEntries);
    return { footer, header, end: endOfData(header, bat), hasFooter: false };
  } catch (error) {
    throw error instanceof VhdError ? new VhdError(`${path}: ${error.message}`, { cause: error }) : error;
  }
}

async function footerAt(file: FileHandle, at: number): Promise<Footer | undefined> {
  try {
    return decodeFooter(await readExactly(file, at, FOOTER_BYTES));
  } catch (error) {
    if (error instanceof VhdError) return undefined;
    throw error;
  }
}

/** Puts the footer, as its copy at the beginning has it, to the end of the data; nothing follows it. */
export async function restoreFooter(file: FileHandle, end: number): Promise<void> {
  await writeExactly(file, await readExactly(file, 0, FOOTER_BYTES), end);
  await file.truncate(end + FOOTER_BYTES);
}

/** What a child's header says of its parent, but for the locators, which depend on the child's place. */
export async function describeParent(parentPath: string, uuid: string): Promise<Omit<Parent, 'locators'>> {
  const { mtime } = await stat(parentPath);
  return { uuid, name: basename(parentPath), modifiedAt: mtime };
}
