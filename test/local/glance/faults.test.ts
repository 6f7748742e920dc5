import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { openUpload } from '../../glance/contract/raw-upload.ts';
import { aGlance, anImage, upload } from './bench.ts';

const patience = { timeout: 30_000, interval: 10 };
const ANY_FILE = /\/file$/;

it('answers with the ordered status as often as ordered, before any work', async () => {
  const { server, glance } = await aGlance();
  const { id } = await anImage(glance);
  server.faults.add({ method: 'PUT', path: ANY_FILE, status: 503, body: 'Come back later', times: 2 });
  expect(await upload(server.url, id)).toBe(503);
  expect(await glance.getImage(id)).toMatchObject({ status: 'queued' });
  expect(await upload(server.url, id)).toBe(503);
  expect(await upload(server.url, id)).toBe(204);
  server.faults.add({ method: 'GET', path: /^\/v2\/images\//, status: 500, body: 'Come back later' });
  await expect(glance.getImage(id)).rejects.toThrow(/answered 500 \(Come back later\)/);
});

it('leaves other methods and paths alone, and forgets when told', async () => {
  const { server, glance } = await aGlance();
  server.faults.add({ method: 'POST', path: /^\/v2\/nothing$/, status: 500 });
  server.faults.add({ method: 'DELETE', path: /^\/v2\/images/, status: 500 });
  const { id } = await anImage(glance);
  expect(server.faults.pending()).toBe(2);
  server.faults.clear();
  await glance.deleteImage(id);
});

it('cuts the connection before the work', async () => {
  const { server, glance } = await aGlance();
  server.faults.add({ method: 'POST', path: /./, drop: 'before' });
  await expect(anImage(glance)).rejects.toMatchObject({ name: 'GlanceUnavailable' });
  expect(server.images()).toEqual([]);
});

it('cuts the connection after the work, so that only the answer is lost', async () => {
  const { server, glance } = await aGlance();
  server.faults.add({ method: 'POST', path: /./, drop: 'after' });
  await expect(anImage(glance)).rejects.toMatchObject({ name: 'GlanceUnavailable' });
  const [image] = server.images();
  expect(image).toMatchObject({ status: 'queued' });
  server.faults.add({ method: 'PUT', path: ANY_FILE, drop: 'after' });
  expect(await upload(server.url, image?.id ?? '')).toBe('cut');
  expect(server.images()).toMatchObject([{ status: 'active', size: 3 }]);
});

it('cuts an upload at the ordered byte', async () => {
  const { server, glance } = await aGlance();
  const { id } = await anImage(glance);
  server.faults.add({ method: 'PUT', path: ANY_FILE, drop: 'during', afterBytes: 100_000 });
  expect(await upload(server.url, id, 'x'.repeat(300_000))).toBe('cut');
  await expect.poll(() => server.images()[0]?.status, patience).toBe('queued');
  expect(await upload(server.url, id, 'x'.repeat(300_000))).toBe(204);
});

it('refuses an upload at the ordered byte', async () => {
  const { server, glance } = await aGlance();
  const { id } = await anImage(glance);
  server.faults.add({ method: 'PUT', path: ANY_FILE, status: 413, afterBytes: 3 });
  const put = await openUpload(server.url, id);
  await put.chunk('ab');
  await put.chunk('cd');
  expect((await put.answer()).status).toBe(413);
  put.close();
  expect(await glance.getImage(id)).toMatchObject({ status: 'queued' });
});

it('cuts a download and a record in the middle', async () => {
  const { server, glance } = await aGlance();
  const { id } = await anImage(glance);
  await upload(server.url, id, 'abcdef');
  server.faults.add({ method: 'GET', path: ANY_FILE, drop: 'during', afterBytes: 3 });
  const response = await fetch(`${server.url}/v2/images/${id}/file`);
  expect(response.headers.get('content-length')).toBe('6');
  await expect(response.text()).rejects.toThrow();
  server.faults.add({ method: 'GET', path: /./, drop: 'during', afterBytes: 10 });
  await expect(glance.getImage(id)).rejects.toMatchObject({ name: 'GlanceUnavailable' });
});

it('holds a request until it is let go, before the work or at a byte of an upload', async () => {
  let now = 0;
  const clock = { speed: 1, now: () => new Date(now), sleep: () => delay(1) };
  const { server, glance } = await aGlance({ clock });
  const { id } = await anImage(glance);
  const first = Promise.withResolvers<void>();
  server.faults.add({ method: 'GET', path: new RegExp(id), hold: first.promise });
  const reading = glance.getImage(id);
  await glance.updateImage(id, { note: 'while it waits' });
  first.resolve();
  expect((await reading)?.properties).toMatchObject({ note: 'while it waits' });

  const second = Promise.withResolvers<void>();
  server.faults.add({ method: 'PUT', path: ANY_FILE, afterBytes: 1, hold: second.promise });
  const uploading = upload(server.url, id);
  await expect.poll(() => server.uploads(), patience).toEqual([{ imageId: id, bytes: 0 }]);
  // Longer than a client may stall: it is the server that waits here.
  now += 3_600_000;
  for (let count = 0; count < 20; count++) await glance.updateImage(id, { note: String(count) });
  expect(await glance.getImage(id)).toMatchObject({ status: 'saving' });
  second.resolve();
  expect(await uploading).toBe(204);
});

it('does not wait for a hold when it is closed', async () => {
  const { server, glance } = await aGlance();
  server.faults.add({ method: 'POST', path: /./, hold: new Promise(() => undefined) });
  const creating = anImage(glance);
  await expect.poll(() => server.faults.pending(), patience).toBe(0);
  await Promise.all([server.close(), expect(creating).rejects.toMatchObject({ name: 'GlanceUnavailable' })]);
  expect(server.images()).toEqual([]);
});
