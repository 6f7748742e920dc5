import { execFile } from 'node:child_process';
import { mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { readCertificateFile, readCredentialFile, readSecretFile } from '../../bin/files.ts';
import { liveFile, watchedFile } from '../../bin/live-file.ts';
import { selfSigned } from '../xapi/raw-server.ts';

const OLD = { id: 'old', secret: 'planted-old' };
const NEW = { id: 'new', secret: 'planted-new' };

let told: string[];
beforeEach(() => {
  told = [];
  const spy = vi.spyOn(process.stderr, 'write').mockImplementation((text) => told.push(String(text)) > 0);
  onTestFinished(() => spy.mockRestore());
});

async function aFile(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-live-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'file');
  await writeFile(file, text);
  return file;
}

it('tells what the file holds now, also where another was put in its place', async () => {
  const file = await aFile(JSON.stringify(OLD));
  const tell = await liveFile(file, readCredentialFile);
  expect(await tell()).toEqual(OLD);
  await writeFile(`${file}.new`, JSON.stringify(NEW));
  await rename(`${file}.new`, file);
  expect(await tell()).toEqual(NEW);
  expect(told).toEqual([]);
});

it('keeps the last good content while a file is half written or gone, and says so once', async () => {
  const file = await aFile(JSON.stringify(OLD));
  const tell = await liveFile(file, readCredentialFile);
  await writeFile(file, JSON.stringify(NEW).slice(0, -3));
  expect([await tell(), await tell()]).toEqual([OLD, OLD]);
  await rm(file);
  expect([await tell(), await tell()]).toEqual([OLD, OLD]);
  expect(told).toHaveLength(2);
  expect(told.join()).toContain(file);
  expect(told.join()).not.toContain('planted');
  await writeFile(file, JSON.stringify(NEW));
  expect(await tell()).toEqual(NEW);
});

it('takes a line only once its file has been left alone for a while, where that is asked for', async () => {
  const file = await aFile('planted-old\n');
  const tell = await liveFile(file, readSecretFile, 60_000);
  await writeFile(file, 'plan');
  expect(await tell()).toBe('planted-old');
  await writeFile(file, 'planted-new');
  const before = new Date(Date.now() - 61_000);
  await utimes(file, before, before);
  expect(await tell()).toBe('planted-new');
  // A clock that was set back must not keep a change away.
  await writeFile(file, 'planted-newer');
  const later = new Date(Date.now() + 3_600_000);
  await utimes(file, later, later);
  expect(await tell()).toBe('planted-newer');
});

it('notices a new certificate by itself, and keeps the old one while the new one is half written', async () => {
  const [old, next] = [selfSigned('old').cert, selfSigned('new').cert];
  const file = await aFile(old);
  const tell = await watchedFile(file, readCertificateFile);
  await writeFile(file, next.slice(0, 200));
  await expect.poll(() => told.join(), { timeout: 20_000 }).toContain('a certificate that is cut off');
  expect(tell()).toBe(old);
  await writeFile(file, next);
  await expect.poll(tell, { timeout: 20_000 }).toBe(next);
});

it('reads a pipe once, and does not wait for a second writer', async () => {
  const file = await aFile('');
  await rm(file);
  await promisify(execFile)('mkfifo', [file]);
  const [tell] = await Promise.all([liveFile(file, readSecretFile), writeFile(file, 'planted\n')]);
  expect([await tell(), await tell()]).toEqual(['planted', 'planted']);
});

it('refuses at the start what is not what it should be', async () => {
  await expect(liveFile(await aFile('{}'), readCredentialFile)).rejects.toThrow(/must hold/);
});
