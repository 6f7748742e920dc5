import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { PLUGIN_FILE } from './servers.ts';

/** The plugin with another value for one of its times, where it would wait for longer than a test has. */
export async function impatientPlugin(constant: string, seconds: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-plugin-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const lines = (await readFile(PLUGIN_FILE, 'utf8')).split('\n');
  const at = lines.flatMap((line, index) => (line.startsWith(`${constant} = `) ? [index] : []));
  expect(at, constant).toHaveLength(1);
  const file = join(folder, 'glance');
  await writeFile(file, lines.with(at[0] ?? 0, `${constant} = ${seconds}`).join('\n'));
  return file;
}
