import { crc32 } from 'node:zlib';

/** A ZIP archive of one text, as it is: what Lambda takes for a function's code. */
export function zipOf(name: string, text: string): Buffer {
  const content = Buffer.from(text);
  const path = Buffer.from(name);
  // Of version 2.0, no flags, not compressed; the first day that the format knows, for nobody looks at it.
  const about = Buffer.alloc(26);
  about.writeUInt16LE(20, 0);
  about.writeUInt16LE(0x21, 8);
  about.writeUInt32LE(crc32(content), 10);
  about.writeUInt32LE(content.length, 14);
  about.writeUInt32LE(content.length, 18);
  about.writeUInt16LE(path.length, 22);
  const local = Buffer.concat([Buffer.from('PK\x03\x04'), about, path, content]);
  const more = Buffer.alloc(14);
  // Made on Unix, a file that everybody may read; it begins at 0.
  more.writeUInt32LE(0o100644 * 0x10000, 6);
  const central = Buffer.concat([Buffer.from('PK\x01\x02\x14\x03'), about, more, path]);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(local.length, 16);
  return Buffer.concat([local, central, end]);
}
