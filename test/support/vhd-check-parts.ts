import type { FileHandle } from 'node:fs/promises';
import { readAt } from './vhd-layer.ts';

/** What `vhd-util check` asks of a VHD's BAT, batmap and parent locators. */

const SECTOR = 512;

/** The tool looks at whole blocks of 2 MiB of the disk; a part of one at its end it passes over, and so it is here not. */
export async function batProblem(
  file: FileHandle,
  size: number,
  footer: Buffer,
  header: Buffer,
  metadataEnd: number,
) {
  const blockBytes = header.readUInt32BE(32);
  const used = Math.ceil(Number(footer.readBigUInt64BE(48)) / 2 ** 21);
  if (used > header.readUInt32BE(28)) return `VHD size (${used} blocks) exceeds BAT size`;
  const bat = await readAt(file, batAt(header), used * 4);
  const sectors = Array.from({ length: used }, (_, block) => bat.readUInt32BE(block * 4));
  const held = sectors.filter((sector) => sector !== 0xffff_ffff).sort((a, b) => a - b);
  const stride = (blockBytes + Math.ceil(blockBytes / 8 / SECTOR / SECTOR) * SECTOR) / SECTOR;
  let before = Number.NEGATIVE_INFINITY;
  for (const sector of held) {
    if (sector * SECTOR < metadataEnd) return `block (offset ${sector}) clobbers headers`;
    if ((sector + stride) * SECTOR > size - SECTOR) return `block (offset ${sector}) clobbers footer`;
    if (sector - before < stride) return `block (offset ${sector}) clobbers block (offset ${before})`;
    before = sector;
  }
  return undefined;
}

export const PLATFORMS = ['Wi2r', 'Wi2k', 'W2ru', 'W2ku', 'Mac ', 'MacX'];
/** What Nova's importer names a parent: a UUID, in the same folder; the space that `vhd-util modify` needs for it. */
const NAME = './00000000-0000-0000-0000-000000000000.vhd';
const NEEDED: Readonly<Record<string, number>> = {
  MacX: `file://${NAME}`.length,
  W2ku: NAME.length * 2,
  W2ru: NAME.length * 2,
};

interface Locator {
  readonly code: string;
  readonly at: number;
  /** The space in bytes, whether the file says it in bytes or, below 512, in sectors. */
  readonly space: number;
  readonly length: number;
  readonly end: number;
}

export function locatorsIn(header: Buffer): Locator[] {
  const found = [];
  for (let entry = 576; entry < 768; entry += 24) {
    const code = header.toString('latin1', entry, entry + 4);
    if (code === '\0\0\0\0') continue;
    const given = header.readUInt32BE(entry + 4);
    const space = given < SECTOR ? given * SECTOR : given % SECTOR === 0 ? given : 0;
    const at = Number(header.readBigUInt64BE(entry + 16));
    found.push({ code, at, space, length: header.readUInt32BE(entry + 8), end: at + space });
  }
  return found;
}

export function locatorProblem(locators: readonly Locator[], size: number): string | undefined {
  for (const { code, at, space, length, end } of locators) {
    if (at === 0 || space === 0 || length === 0 || end > size - SECTOR)
      return `invalid parent locator ${code}`;
    if (space < (NEEDED[code] ?? 0)) return `failed to set parent: no room in the locator ${code}`;
  }
  const codes = locators.map(({ code }) => code);
  if (new Set(codes).size !== codes.length) return 'duplicate platform code in locator';
  return codes.some((code) => code in NEEDED) ? undefined : 'could not find parent';
}

/** From version 1.2 on, libvhd takes a batmap behind the BAT for granted in files of its own. */
export async function batmapEnd(file: FileHandle, footer: Buffer, header: Buffer): Promise<number> {
  if (footer.toString('latin1', 28, 31) !== 'tap' || footer.readUInt32BE(32) < 0x10001) return 0;
  const at = batEnd(header);
  const batmap = await readAt(file, at, SECTOR);
  const isThere = batmap.toString('latin1', 0, 8) === 'tdbatmap';
  if (!isThere && footer.readUInt32BE(32) >= 0x10002) throw new Error('error reading batmap');
  return isThere ? Number(batmap.readBigUInt64BE(8)) + batmap.readUInt32BE(16) * SECTOR : 0;
}

export function batAt(header: Buffer): number {
  return Number(header.readBigUInt64BE(16));
}

export function batEnd(header: Buffer): number {
  return batAt(header) + Math.ceil((header.readUInt32BE(28) * 4) / SECTOR) * SECTOR;
}
