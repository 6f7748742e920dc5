import { must } from './damage.ts';

/**
 * A number of a tar's header: octal digits, or, where the first bit is set, the bytes behind it in base 256, as GNU's tar
 * writes sizes from 8 GiB on. Nothing at all is 0.
 * @throws ImageDamaged for anything else, and for what no file can be
 */
export function numberIn(field: Buffer, what: string): number {
  const first = field.readUInt8(0);
  if (first & 0x80) {
    must(first === 0x80, `${what} is negative or far too large`);
    return whole(BigInt(`0x${field.toString('hex', 1)}`), what);
  }
  const text = field.toString('latin1');
  const found = /^[ \0]*(?:([0-7]+)[ \0]*)?$/.exec(text);
  must(found !== null, `${what}, ${JSON.stringify(text.replaceAll('\0', ' ').trim())}, is no octal number`);
  return whole(BigInt(`0o${found[1] ?? '0'}`), what);
}

/** What a tar's header may hold in a field of text. */
export function textIn(field: Buffer): string {
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? field.length : end);
}

/** What a pax header says of a file, or of all that follow. */
export interface PaxFields {
  readonly path?: string;
  readonly size?: number;
}

/**
 * Reads the records of a pax header: `length key=value`, each with a newline at its end. An empty value takes back what
 * stood there before.
 * @throws ImageDamaged when it holds something else, or tells of a sparse file
 */
export function paxFields(data: Buffer): PaxFields {
  let fields: PaxFields = {};
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at);
    const digits = data.toString('latin1', at, Math.min(space, at + 10));
    const end = at + Number(digits);
    must(
      /^[1-9]\d*$/.test(digits) && end > space && end <= data.length && data[end - 1] === 0x0a,
      'the tar has a damaged pax header',
    );
    const record = data.toString('utf8', space + 1, end - 1);
    const [key, value] = [record.replace(/=.*$/s, ''), record.replace(/^[^=]*=/s, '')];
    must(!key.startsWith('GNU.sparse.'), 'the tar holds a sparse file: pack it again without tar’s --sparse');
    if (key === 'path') fields = { ...fields, path: value };
    if (key === 'size') {
      must(/^\d*$/.test(value), `a size in a pax header, ${JSON.stringify(value)}, is no number`);
      const { size: _, ...others } = fields;
      fields = value === '' ? others : { ...fields, size: whole(BigInt(value), 'a size in a pax header') };
    }
    at = end;
  }
  return fields;
}

function whole(value: bigint, what: string): number {
  must(value <= BigInt(Number.MAX_SAFE_INTEGER), `${what} is far too large`);
  return Number(value);
}
