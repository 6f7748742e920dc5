import { execFile } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { BLOCK_BYTES } from '../../vhd/format.ts';
import { pluginPath } from '../interpreter.ts';

/** Files up to this size are read as a whole: that takes less time than to start an interpreter. */
const SMALL_BYTES = 256 * 1024 ** 2;

const LIST_EXTENTS = [
  'import errno, os, sys',
  'fd, at = os.open(sys.argv[1], os.O_RDONLY), 0',
  'try:',
  '    while True:',
  '        at = os.lseek(fd, at, os.SEEK_DATA)',
  '        end = os.lseek(fd, at, os.SEEK_HOLE)',
  '        print(at, end)',
  '        at = end',
  'except OSError as exc:',
  '    if exc.errno != errno.ENXIO:',
  '        raise',
].join('\n');

/** The numbers of the 2 MiB blocks of a sparse file in which something may have been written. */
export async function writtenBlocks(file: FileHandle, path: string, bytes: number): Promise<number[]> {
  if (bytes <= SMALL_BYTES)
    return Array.from({ length: Math.ceil(bytes / BLOCK_BYTES) }, (_, block) => block);
  // Node has no way to ask a file for its holes. What is still on its way to the disk is data, too.
  await file.datasync();
  const env = { PATH: await pluginPath() };
  const { stdout } = await promisify(execFile)('python3', ['-S', '-c', LIST_EXTENTS, path], { env });
  const blocks = new Set<number>();
  for (const line of stdout.split('\n').filter(Boolean)) {
    const [from = 0, to = 0] = line.split(' ').map(Number);
    for (let block = Math.floor(from / BLOCK_BYTES); block * BLOCK_BYTES < to; block += 1) blocks.add(block);
  }
  return [...blocks];
}
