import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { startGlance } from '../../../local/glance/server.ts';
import { openUpload } from '../../glance/contract/raw-upload.ts';
import { aFolder, aGlance, anImage, upload } from './bench.ts';

it('wants the token for everything but its versions and its health', async () => {
  const { server, glance } = await aGlance({ token: 'secret' });
  const status = async (path: string, token?: string) => {
    const response = await fetch(server.url + path, { headers: token ? { 'x-auth-token': token } : {} });
    await response.body?.cancel();
    return [response.status, response.headers.get('www-authenticate')];
  };
  const challenge = `Keystone uri="${server.url}"`;
  expect(await status('/v2/images')).toEqual([401, challenge]);
  expect(await status('/v2/images', 'wrong')).toEqual([401, challenge]);
  expect(await status('/v2/images', 'secret')).toEqual([200, null]);
  expect(await status('/')).toEqual([300, null]);
  expect(await status('/healthcheck')).toEqual([200, null]);
  const { id } = await anImage(glance);
  const put = await openUpload(server.url, id, undefined, {
    Expect: '100-continue',
    'X-Auth-Token': 'wrong',
  });
  await expect(put.continued()).rejects.toThrow(/401 Unauthorized/);
  put.close();
});

it('serves what an earlier run left, deleted ids included', async () => {
  const dataDir = await aFolder();
  const first = await aGlance({ dataDir });
  const kept = await anImage(first.glance);
  await upload(first.server.url, kept.id);
  const gone = await anImage(first.glance);
  await first.glance.deleteImage(gone.id);
  const before = await first.glance.getImage(kept.id);
  await first.server.close();
  const second = await aGlance({ dataDir });
  expect(await second.glance.getImage(kept.id)).toEqual(before);
  expect(await (await fetch(`${second.server.url}/v2/images/${kept.id}/file`)).text()).toBe('abc');
  expect(await second.glance.getImage(gone.id)).toBeUndefined();
  const again = { ...kept, id: gone.id, name: 'again', visibility: 'private' as const };
  const creating = second.glance.createImage({ ...again, diskFormat: 'vhd', containerFormat: 'ovf' });
  await expect(creating).rejects.toMatchObject({ name: 'GlanceConflict' });
});

it('leaves an image saving for ever when it is killed in the middle of an upload', async () => {
  const dataDir = await aFolder();
  const script = `import { startGlance } from ${JSON.stringify(new URL('../../../local/glance/server.ts', import.meta.url))};
    console.log((await startGlance({ dataDir: ${JSON.stringify(dataDir)} })).url);`;
  const cwd = fileURLToPath(new URL('../../..', import.meta.url));
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [url] = await once(createInterface(child.stdout), 'line');
  const created = await fetch(`${url}/v2/images`, {
    method: 'POST',
    body: JSON.stringify({ disk_format: 'vhd', container_format: 'ovf' }),
  });
  const { id } = Object(await created.json());
  const put = await openUpload(url, id, undefined, { Expect: '100-continue' });
  await put.continued();
  await put.chunk('abc');
  child.kill('SIGKILL');
  await once(child, 'exit');
  put.close();

  const { server, glance } = await aGlance({ dataDir });
  expect(await glance.getImage(id)).toMatchObject({ status: 'saving', sizeBytes: null });
  expect(await upload(server.url, id)).toBe(409);
  await glance.deleteImage(id);
  expect(await glance.getImage(id)).toBeUndefined();
  expect(await readdir(join(dataDir, 'images'))).toEqual([]);
});

it('puts uploads back to queued when it is closed', async () => {
  const { server, glance } = await aGlance();
  const { id } = await anImage(glance);
  const put = await openUpload(server.url, id);
  const started = new Promise((resolve) =>
    server.onUpload(({ event }) => event === 'progress' && resolve(event)),
  );
  await put.chunk('abc');
  await started;
  await server.close();
  put.close();
  expect(server.images()).toMatchObject([{ id, status: 'queued' }]);
  expect(server.uploads()).toEqual([]);
});

it('shows the uploads under way, and tells of them', async () => {
  const { server, glance } = await aGlance();
  const { id } = await anImage(glance);
  const told: string[] = [];
  const received = new Promise<void>((resolve) => {
    server.onUpload(({ event, bytes, imageId }) => {
      told.push(`${event} ${bytes} ${imageId === id}`);
      if (bytes === 5) resolve();
    });
  });
  const put = await openUpload(server.url, id);
  await put.chunk('abcde');
  await received;
  expect(server.uploads()).toEqual([{ imageId: id, bytes: 5 }]);
  await put.raw('0\r\n\r\n');
  await put.answer();
  put.close();
  expect(server.uploads()).toEqual([]);
  expect(told).toEqual(['started 0 true', 'progress 5 true', 'ended 5 true']);
});

it('keeps data and records where they can be read', async () => {
  const dataDir = await aFolder();
  const { server, glance } = await aGlance({ dataDir });
  const { id } = await anImage(glance);
  await upload(server.url, id);
  expect(await readFile(server.dataPath(id), 'utf8')).toBe('abc');
  expect(server.images()).toMatchObject([{ id, status: 'active', properties: { os_type: 'linux' } }]);
  expect(await readdir(join(dataDir, 'records'))).toEqual([`${id}.json`]);
  await glance.deleteImage(id);
  expect(server.images()).toEqual([]);
  expect(await readdir(join(dataDir, 'images'))).toEqual([]);
});

it('says that its port is busy', async () => {
  const { server } = await aGlance();
  const port = Number(new URL(server.url).port);
  await expect(startGlance({ dataDir: await aFolder(), port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

it('keeps a property whose name is that of something else', async () => {
  const { glance } = await aGlance();
  const properties = { properties: 'a', __proto__x: 'b', constructor: 'c', toString: 'd' };
  const { id } = await anImage(glance);
  expect((await glance.updateImage(id, properties)).properties).toEqual({ os_type: 'linux', ...properties });
});
