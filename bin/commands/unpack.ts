import { createReadStream } from 'node:fs';
import { access, type FileHandle, open, rename, rm } from 'node:fs/promises';
import { Command } from 'commander';
import { CommandFailure } from '../failures.ts';
import { printable, size } from '../format.ts';
import { interruptible, TERMINATION } from '../interrupt.ts';
import { examplesText, print } from '../options.ts';
import { ImageDamaged, OutOfOrder } from '../unpack/damage.ts';
import { type Unpacked, unpack } from '../unpack/unpack.ts';

interface Options {
  readonly to?: string;
  readonly json?: boolean;
}

export function unpackCommand(): Command {
  return new Command('unpack')
    .description("Check an image's data from its first byte to its last, and write the disk that it holds")
    .argument('<file>', 'what "openstack image save" wrote; - is standard input')
    .option('--to <disk>', 'write the disk into this new file: raw, flattened, sparse')
    .option('--json', 'print one JSON document, for scripts')
    .addHelpText('after', examplesText(['unpack image.tgz', 'unpack image.tgz --to disk.raw']))
    .action(async (file: string, options: Options) => {
      const run = (signal: AbortSignal) =>
        options.to === undefined ? read(file, signal) : intoNew(options.to, (to) => read(file, signal, to));
      const result = await interruptible('stopped; nothing was written', run, TERMINATION);
      print(options.json ? JSON.stringify(result, null, 2) : readable(result, options.to));
    });
}

/** An image's id is no file: that is what is tried first. */
const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file; "openstack image save --file FILE IMAGE" fetches the data of an image',
  EISDIR: 'it is a folder',
  EACCES: 'it is not for you to read',
};

async function read(file: string, signal: AbortSignal, to?: FileHandle): Promise<Unpacked> {
  const progress = progressOn(process.stderr);
  const stored = file === '-' ? undefined : () => createReadStream(file, { highWaterMark: 2 ** 20 });
  const data = stored?.() ?? process.stdin;
  const options = { signal, onRead: progress.show, ...(stored && { again: stored }), ...(to && { to }) };
  try {
    return await unpack(data, options);
  } catch (cause) {
    if (cause instanceof ImageDamaged || cause instanceof OutOfOrder) {
      const name = file === '-' ? 'standard input' : file;
      throw new CommandFailure(`${name}: ${cause.message}`, { cause });
    }
    const why = UNREADABLE[(cause as NodeJS.ErrnoException).code ?? ''];
    if (why !== undefined) throw new CommandFailure(`cannot read ${file}: ${why}`, { cause });
    throw cause;
  } finally {
    progress.clear();
  }
}

/** Has `write` fill a file that gets its name only once it is whole. */
async function intoNew<T>(path: string, write: (to: FileHandle) => Promise<T>): Promise<T> {
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (isThere) throw new CommandFailure(`${path} is there already: name another file, or remove it`);
  const part = `${path}.part`;
  const to = await open(part, 'wx', 0o600).catch((cause) => {
    throw new CommandFailure(`cannot write ${part}: ${cause.message}`, { cause });
  });
  try {
    const result = await write(to);
    await to.sync();
    await rename(part, path);
    return result;
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  } finally {
    await to.close();
  }
}

const EVERY_MS = 500;

/** A line that is drawn over and over again, where there is a terminal for it. */
function progressOn(out: NodeJS.WriteStream) {
  let next = 0;
  return {
    show(bytes: number) {
      if (!out.isTTY || Date.now() < next) return;
      next = Date.now() + EVERY_MS;
      out.write(`\r${size(bytes)} read `);
    },
    clear() {
      if (next > 0) out.write('\r\x1b[K');
    },
  };
}

function readable(
  { bytes, sha512, virtualBytes, layers, ignored }: Unpacked,
  to: string | undefined,
): string {
  const rows = [
    ['Data', `${size(bytes)}, whole`],
    ['sha512', sha512],
    ['VHDs', layers.map((layer) => `${layer.name} ${size(layer.bytes)}`).join(', ')],
    ['Disk', `${size(virtualBytes)}${to === undefined ? '' : `, in ${to}`}`],
    ...(ignored.length > 0 ? [['Ignored', ignored.join(', ')]] : []),
  ];
  return rows.map(([name = '', value = '']) => `${name.padEnd(8)}${printable(value)}`).join('\n');
}
