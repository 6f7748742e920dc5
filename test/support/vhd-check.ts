import type { FileHandle } from 'node:fs/promises';
import {
  batAt,
  batEnd,
  batmapEnd,
  batProblem,
  locatorProblem,
  locatorsIn,
  PLATFORMS,
} from './vhd-check-parts.ts';
import { readAt } from './vhd-layer.ts';

/**
 * The rules of `vhd-util check` (blktap: vhd/lib/vhd-util-check.c, and libvhd.c's vhd_open, which it calls), in its words,
 * for one file. Read from the source, and held to the tool itself; nothing of it is shared with what makes our files.
 */

/** What a file is checked against. */
export interface CheckContext {
  /** The clock of the host that checks. */
  readonly now: Date;
  /** When `vhd-util modify` found a differencing file's parent last written. */
  readonly parentWritten: Date | undefined;
}

/** The time stamps may lie so far ahead, for clocks that differ. */
const SLACK_SECONDS = 1800;
const SECTOR = 512;
const ALL_ONES = 0xffff_ffff_ffff_ffffn;

/** Time as libvhd counts it: seconds since 2000, in 32 bits without a sign, so that an earlier time becomes one far ahead. */
export function vhdTime(time: Date): number {
  return (Math.floor(time.getTime() / 1000) - 946_684_800) >>> 0;
}

/** What the tool finds wrong first; undefined for a valid file. */
export async function checkVhd(file: FileHandle, context: CheckContext): Promise<string | undefined> {
  const size = (await file.stat()).size;
  if (size < SECTOR || size % SECTOR !== 0) return `invalid file size: ${size}`;
  const primary = await readAt(file, size - SECTOR, SECTOR);
  const inFooter = footerProblem(primary, context);
  if (inFooter) return `primary footer invalid: ${inFooter}`;
  if (primary.readUInt32BE(60) === 2) return undefined;
  const backup = await readAt(file, 0, SECTOR);
  const inBackup = footerProblem(backup, context);
  if (inBackup) return `backup footer invalid: ${inBackup}`;
  if (!primary.equals(backup)) return 'primary and backup footers do not match';
  const headerAt = Number(primary.readBigUInt64BE(16));
  if (headerAt + 1024 > size) return 'error reading header';
  const header = await readAt(file, headerAt, 1024);
  const inHeader = headerProblem(header, size);
  if (inHeader) return `header is invalid: ${inHeader}`;
  const inParent = parentProblem(primary, header, context);
  if (inParent) return `differencing header is invalid: ${inParent}`;
  const isChild = primary.readUInt32BE(60) === 4;
  const locators = isChild ? locatorsIn(header) : [];
  const metadataEnd = Math.max(
    headerAt + 1024,
    batEnd(header),
    await batmapEnd(file, primary, header),
    ...locators.map(({ end }) => end),
  );
  return (
    (await batProblem(file, size, primary, header, metadataEnd)) ??
    (isChild ? locatorProblem(locators, size) : undefined)
  );
}

function footerProblem(footer: Buffer, { now }: CheckContext): string | undefined {
  const isTap = footer.toString('latin1', 28, 31) === 'tap';
  const type = footer.readUInt32BE(60);
  const rules: [string, boolean][] = [
    ['invalid cookie', footer.toString('latin1', 0, 8) === 'conectix'],
    ['invalid checksum', checksumHolds(footer, 64)],
    ["invalid 'reserved' feature", (footer.readUInt32BE(8) & 2) !== 0],
    ['invalid extra features', (footer.readUInt32BE(8) & ~3) === 0],
    ['invalid file format version', footer.readUInt32BE(12) === 0x10000],
    ['invalid data offset', type === 3 || type === 4 || footer.readBigUInt64BE(16) === ALL_ONES],
    ['creation time in future', footer.readUInt32BE(24) <= vhdTime(now) + SLACK_SECONDS],
    ['unsupported tap creator version', !isTap || footer.readUInt32BE(32) <= 0x10003],
    ['unsupported version 0.1 VHD', !isTap || footer.readUInt32BE(32) !== 1],
    ['geometry too large', geometryOf(footer.readBigUInt64BE(48)) >= footer.readUInt32BE(56)],
    ['invalid type', type >= 2 && type <= 4],
    ["invalid 'saved' state", footer.readUInt8(84) <= 1],
    ["invalid 'hidden' state", footer.readUInt8(85) <= 1],
    ["invalid 'reserved' bits", isZero(footer.subarray(86))],
    ['invalid (NULL) uuid', !isZero(footer.subarray(68, 84))],
  ];
  return rules.find(([, holds]) => !holds)?.[0];
}

function headerProblem(header: Buffer, size: number): string | undefined {
  const blockBytes = header.readUInt32BE(32);
  const codes = locatorsIn(header).map(({ code }) => code);
  const rules: [string, boolean][] = [
    ['invalid cookie', header.toString('latin1', 0, 8) === 'cxsparse'],
    ['invalid checksum', checksumHolds(header, 36)],
    ['invalid header version', header.readUInt32BE(24) === 0x10000],
    ['invalid data offset', header.readBigUInt64BE(8) === ALL_ONES],
    ['invalid table offset', batAt(header) > 0 && batAt(header) % SECTOR === 0],
    ['invalid table offset', batAt(header) + header.readUInt32BE(28) * 4 <= size - SECTOR],
    ['invalid block size', Number.isInteger(Math.log2(blockBytes)) && blockBytes <= 2 ** 21],
    ['invalid reserved bits', header.readUInt32BE(60) === 0 && isZero(header.subarray(768))],
    ['invalid parent locator code', codes.every((code) => PLATFORMS.includes(code))],
  ];
  return rules.find(([, holds]) => !holds)?.[0];
}

function parentProblem(footer: Buffer, header: Buffer, context: CheckContext): string | undefined {
  if (footer.readUInt32BE(60) === 4) {
    const written = context.parentWritten ? vhdTime(context.parentWritten) : header.readUInt32BE(56);
    return written > vhdTime(context.now) + SLACK_SECONDS ? 'parent creation time in future' : undefined;
  }
  if (!isZero(header.subarray(64, 576))) return 'invalid non-null parent name';
  if (!isZero(header.subarray(576, 768))) return 'invalid non-null parent locators';
  if (!isZero(header.subarray(40, 56))) return 'invalid non-null parent uuid';
  return header.readUInt32BE(56) === 0 ? undefined : 'invalid non-zero parent timestamp';
}

/** The specification's appendix "CHS calculation", as the tool compares it: as one number. */
function geometryOf(virtualBytes: bigint): number {
  const sectors = Math.min(Math.ceil(Number(virtualBytes) / SECTOR), 65535 * 16 * 255);
  const of = (perTrack: number, heads: number) => {
    const cylinders = Math.floor(Math.floor(sectors / perTrack) / heads);
    return { value: cylinders * 0x10000 + heads * 0x100 + perTrack, tracks: Math.floor(sectors / perTrack) };
  };
  if (sectors >= 65535 * 16 * 63) return of(255, 16).value;
  const heads = Math.max(4, Math.ceil(of(17, 1).tracks / 1024));
  if (of(17, 1).tracks < heads * 1024 && heads <= 16) return of(17, heads).value;
  return of(31, 16).tracks < 16 * 1024 ? of(31, 16).value : of(63, 16).value;
}

function checksumHolds(structure: Buffer, at: number): boolean {
  const others = Buffer.from(structure).fill(0, at, at + 4);
  return structure.readUInt32BE(at) === 0xffff_ffff - others.reduce((sum, byte) => sum + byte, 0);
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
