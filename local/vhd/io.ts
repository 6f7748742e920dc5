import type { FileHandle } from 'node:fs/promises';
import { VhdError } from './format.ts';

/** @throws VhdError when the file ends before `bytes` are read */
export async function readExactly(file: FileHandle, offset: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(bytes);
  for (let done = 0; done < bytes; ) {
    const { bytesRead } = await file.read(buffer, done, bytes - done, offset + done);
    if (bytesRead === 0) throw new VhdError(`The VHD file ends at ${offset + done}, inside a structure`);
    done += bytesRead;
  }
  return buffer;
}

/** Writes all of `data`: one write on a disk that is almost full may be cut short without an error. */
export async function writeExactly(file: FileHandle, data: Buffer, offset: number): Promise<void> {
  for (let done = 0; done < data.length; ) {
    const { bytesWritten } = await file.write(data, done, data.length - done, offset + done);
    done += bytesWritten;
  }
}
