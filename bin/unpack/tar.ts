import { must } from './damage.ts';
import type { ForwardReader } from './forward.ts';

const RECORD = 512;

/** A file in a tar, whose bytes follow its header. */
export interface Member {
  readonly name: string;
  readonly size: number;
}

/**
 * Reads the next header of a tar as the plugin writes it: GNU's format, plain files, no directories.
 * @returns undefined at the tar's end
 * @throws ImageDamaged for anything else
 */
export async function nextMember(source: ForwardReader): Promise<Member | undefined> {
  const header = await source.read(RECORD);
  if (header.every((byte) => byte === 0)) return undefined;
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  must(sum === octal(header.subarray(148, 156)), 'the tar is damaged: a header has a wrong checksum');
  must(header.toString('latin1', 156, 157) === '0', 'the tar holds something else than plain files');
  return { name: text(header.subarray(0, 100)), size: sizeOf(header.subarray(124, 136)) };
}

/** Passes over what fills a member's last record. */
export async function skipPadding(source: ForwardReader, { size }: Member): Promise<void> {
  await source.skip((RECORD - (size % RECORD)) % RECORD);
}

/** Sizes from 8 GiB on stand in base 256, which the first bit tells. */
function sizeOf(field: Buffer): number {
  return field.readUInt8(0) & 0x80 ? Number(field.readBigUInt64BE(4)) : octal(field);
}

function octal(field: Buffer): number {
  return Number.parseInt(text(field).trim(), 8);
}

function text(field: Buffer): string {
  return field.toString('latin1').replace(/\0.*$/s, '');
}
