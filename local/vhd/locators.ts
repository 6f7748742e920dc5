import type { FileHandle } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import { sectorAligned, VhdError } from './format.ts';
import type { Locator } from './header.ts';
import { writeExactly } from './io.ts';

/** The three that vhd-util writes, in its order; each in a space of its own between the BAT and the first block. */
const CODES = ['MacX', 'W2ku', 'W2ru'] as const;

/**
 * Where a child's parent is, in the three spellings of vhd-util. All three are relative to the child's folder, `W2ku`
 * too although it is meant for absolute paths (libvhd.c, vhd_parent_locator_write_at): a storage repository is mounted
 * at another place on each host.
 */
export function planLocators(childPath: string, parentPath: string, offset: number): Locator[] {
  let at = offset;
  return CODES.map((code) => {
    const dataBytes = locatorText(code, childPath, parentPath).length;
    const locator = { code, dataBytes, spaceBytes: sectorAligned(dataBytes), offset: at };
    at += locator.spaceBytes;
    return locator;
  });
}

/** The locators rewritten for another parent, each within the space that it has. */
export function refitLocators(
  locators: readonly Locator[],
  childPath: string,
  parentPath: string,
): Locator[] {
  return locators.map((locator) => {
    const dataBytes = locatorText(locator.code, childPath, parentPath).length;
    if (dataBytes > locator.spaceBytes) throw new VhdError(`No room in ${childPath} to name ${parentPath}`);
    return { ...locator, dataBytes };
  });
}

export async function writeLocators(
  file: FileHandle,
  locators: readonly Locator[],
  childPath: string,
  parentPath: string,
): Promise<void> {
  for (const locator of locators) {
    const space = Buffer.alloc(locator.spaceBytes);
    locatorText(locator.code, childPath, parentPath).copy(space);
    await writeExactly(file, space, locator.offset);
  }
}

function locatorText(code: string, childPath: string, parentPath: string): Buffer {
  const path = relative(dirname(resolve(childPath)), resolve(parentPath));
  const dotted = path.startsWith('../') ? path : `./${path}`;
  if (code === 'MacX') return Buffer.from(`file://${dotted}`, 'utf8');
  // Windows asks for `.\` in front of every relative path, and little endian here, unlike the header's name.
  return Buffer.from(`.\\${dotted.replace(/^\.\//, '').replaceAll('/', '\\')}`, 'utf16le');
}
