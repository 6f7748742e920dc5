import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { endOfData } from './blocks.ts';
import { decodeFooter } from './footer.ts';
import { FOOTER_BYTES, HEADER_BYTES, HEADER_OFFSET, VhdError } from './format.ts';
import { decodeHeader } from './header.ts';

/** What tapdisk writes over the footer of a disk that it opens for writing (block-vhd.c, vhd_kill_footer). */
const KILLED = Buffer.alloc(FOOTER_BYTES, 0xc7);

/**
 * Leaves the end of a disk's file as tapdisk does: without a footer while it has the disk open for writing, with the copy
 * from the beginning when it has closed it. At once, so that nobody comes in between; a file that is gone stays gone.
 */
export function settleFooter(path: string, isOpen: boolean): void {
  const file = openOrNothing(path);
  if (file === undefined) return;
  try {
    settle(file, isOpen);
  } catch (error) {
    // tapdisk cannot open a file without a whole copy of its footer.
    if (!(error instanceof VhdError)) throw error;
  } finally {
    closeSync(file);
  }
}

function settle(file: number, isOpen: boolean): void {
  const copy = readSyncExactly(file, 0, FOOTER_BYTES);
  const { type } = decodeFooter(copy);
  const at = fstatSync(file).size - FOOTER_BYTES;
  const hasFooter = at > 0 && readSyncExactly(file, at, 8).equals(copy.subarray(0, 8));
  if (isOpen) {
    if (hasFooter) writeSync(file, KILLED, 0, FOOTER_BYTES, at);
  } else if (!hasFooter) {
    const header = decodeHeader(readSyncExactly(file, HEADER_OFFSET, HEADER_BYTES), type);
    const end = endOfData(header, readSyncExactly(file, header.batOffset, 4 * header.batEntries));
    writeSync(file, copy, 0, FOOTER_BYTES, end);
    ftruncateSync(file, end + FOOTER_BYTES);
  }
}

function openOrNothing(path: string): number | undefined {
  try {
    return openSync(path, 'r+');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function readSyncExactly(file: number, offset: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  readSync(file, buffer, 0, bytes, offset);
  return buffer;
}
