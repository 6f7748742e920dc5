import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Bench, openBench, type Target } from './target.ts';

/** What the client relies on where image records are concerned. */
export function recordsContract(target: Target): void {
  describe('image records', () => {
    let bench: Bench;
    beforeEach(() => {
      bench = openBench(target.url);
    });
    afterEach(() => bench.clear());

    it('creates a queued, private image that has its properties at once', async () => {
      const created = await bench.anImage({
        properties: { xensnap_job: 'j1', os_type: 'linux' },
        minDisk: 8,
      });
      expect(created).toMatchObject({
        name: 'web-1',
        status: 'queued',
        sizeBytes: null,
        checksum: null,
        osHashAlgo: null,
        osHashValue: null,
        diskFormat: 'vhd',
        containerFormat: 'ovf',
        visibility: 'private',
        owner: null,
        protected: false,
        properties: { xensnap_job: 'j1', os_type: 'linux' },
      });
      expect(created.createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(await bench.glance.getImage(created.id)).toEqual(created);
    });

    it('says undefined for an image that is not there', async () => {
      expect(await bench.glance.getImage(randomUUID())).toBeUndefined();
    });

    it('deletes an image once and is content when it is gone', async () => {
      const { id } = await bench.anImage();
      await bench.glance.deleteImage(id);
      expect(await bench.glance.getImage(id)).toBeUndefined();
      await bench.glance.deleteImage(id);
    });

    it('gives no id twice, not even that of a deleted image', async () => {
      const { id } = await bench.anImage();
      const again = () => bench.anImage({ id });
      expect(await failure(again())).toMatch(/^GlanceConflict: /);
      await bench.glance.deleteImage(id);
      expect(await failure(again())).toMatch(/^GlanceConflict: .*already exists/);
    });

    it('does not delete a protected image', async () => {
      const { id } = await bench.anImage({ protected: true });
      expect(await failure(bench.glance.deleteImage(id))).toMatch(
        /^GlanceForbidden: .*protected and cannot be deleted/,
      );
      const unprotect = [{ op: 'replace', path: '/protected', value: false }];
      expect(await patch(bench.url, id, unprotect)).toBe(200);
    });

    it('sets properties, new and old, and leaves the others', async () => {
      const { id } = await bench.anImage({ properties: { kept: '1', changed: 'a' } });
      const updated = await bench.glance.updateImage(id, { changed: 'b', 'a/b~c': 'ü ☃' });
      expect(updated.properties).toEqual({ kept: '1', changed: 'b', 'a/b~c': 'ü ☃' });
      expect(await bench.glance.getImage(id)).toEqual(updated);
      expect((await bench.glance.updateImage(id, {})).properties).toEqual(updated.properties);
    });

    it('names an update of an image that is gone', async () => {
      const update = bench.glance.updateImage(randomUUID(), { a: '1' });
      expect(await failure(update)).toMatch(/^GlanceNotFound: /);
    });

    it('names a request that cannot be right, in one plain sentence', async () => {
      const tooLong = await failure(bench.anImage({ name: 'x'.repeat(256) }));
      expect(tooLong).toMatch(/^GlanceBadRequest: POST http\S+ was answered 400 \(.*x{200}/);
      expect(tooLong).not.toMatch(/<br|\n|&#/);
      expect(await failure(bench.anImage({ properties: { stores: 'x' } }))).toMatch(
        /^GlanceForbidden: .*'stores' is read-only/,
      );
    });

    it('finds the server well', async () => {
      expect(await bench.glance.check()).toEqual({ version: expect.stringMatching(/^v2\.\d+$/) });
    });

    it('takes every character up to U+FFFF in names and values', async () => {
      const text = 'Ünïcödé ☃ 漢字 \ufffd\uffff';
      const image = await bench.anImage({ name: text, properties: { [text]: text } });
      expect(await bench.glance.getImage(image.id)).toMatchObject({
        name: text,
        properties: { [text]: text },
      });
      const longest = '☃'.repeat(255);
      expect(await bench.anImage({ name: longest })).toMatchObject({ name: longest });
    });

    it.each<[object, string]>([
      [{ name: '🚀 db' }, "Name can't contain 4 byte unicode characters."],
      [{ name: `${'x'.repeat(254)}🚀` }, "Name can't contain 4 byte unicode characters."],
      [{ xensnap_vm_name: '🚀' }, "Xensnap_Vm_Name can't contain 4 byte unicode characters."],
      [{ '🚀': 'x' }, "Property names can't contain 4 byte unicode."],
      [{ tags: ['🚀'] }, "Param values can't contain 4 byte unicode."],
    ])('refuses characters of four bytes in %j, to create and to change', async (attributes, message) => {
      const created = await send('POST', `${bench.url}/v2/images`, attributes);
      expect(created).toEqual({ status: 400, message });
      const { id } = await bench.anImage();
      const operations = Object.entries(attributes).map(([key, value]) => ({
        op: 'add',
        path: `/${key}`,
        value,
      }));
      expect(await send('PATCH', `${bench.url}/v2/images/${id}`, operations)).toEqual(created);
    });

    it.each<object>([
      { name: `${'x'.repeat(254)}\ud83d` },
      { xensnap_vm_name: '\ude80' },
      { 'half \ud83d': 'x' },
      { tags: ['\ud83d'] },
    ])('fails on half a surrogate pair in %j, to create and to change', async (attributes) => {
      expect((await send('POST', `${bench.url}/v2/images`, attributes)).status).toBe(500);
      const { id } = await bench.anImage();
      const operations = Object.entries(attributes).map(([key, value]) => ({
        op: 'add',
        path: `/${key}`,
        value,
      }));
      expect((await send('PATCH', `${bench.url}/v2/images/${id}`, operations)).status).toBe(500);
    });

    it('looks at no characters of a tag that comes by its own URL', async () => {
      const { id } = await bench.anImage();
      const url = `${bench.url}/v2/images/${id}/tags/${encodeURIComponent('🚀')}`;
      expect((await fetch(url, { method: 'PUT' })).status).toBe(204);
    });

    it.each([
      [{ disk_format: 'xva' }, 400],
      [{ container_format: 'tgz' }, 400],
      [{ visibility: 'secret' }, 400],
      [{ id: 'no-uuid' }, 400],
      [{ anything: 5 }, 400],
      [{ anything: null }, 400],
      [{ min_disk: -1 }, 400],
      [{ tags: [1] }, 400],
      [{ size: '5' }, 400],
      [{ size: 5 }, 403],
      [{ checksum: 'x' }, 403],
      [{ created_at: 'x' }, 403],
      [{ locations: [] }, 403],
      [{ os_glance_x: '1' }, 403],
      ['no object', 500],
    ])('refuses to create %j with %i', async (body, status) => {
      const response = await fetch(`${bench.url}/v2/images`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: typeof body === 'string' ? JSON.stringify([body]) : JSON.stringify(body),
      });
      expect(response.status).toBe(status);
    });

    it.each([
      [{ op: 'remove', path: '/absent' }, 409],
      [{ op: 'replace', path: '/absent', value: '1' }, 409],
      [{ op: 'replace', path: '/size', value: 1 }, 403],
      [{ op: 'remove', path: '/name' }, 403],
      [{ op: 'add', path: '/property', value: 1 }, 400],
      [{ op: 'add', path: '/a/b', value: '1' }, 400],
      [{ op: 'move', path: '/a', from: '/b' }, 400],
      [{ op: 'replace', path: '/disk_format', value: 'raw' }, 200],
      [{ op: 'add', path: '/tags', value: ['a', 'a'] }, 200],
    ])('answers a patch of %j with %i', async (operation, status) => {
      const { id } = await bench.anImage();
      expect(await patch(bench.url, id, [operation])).toBe(status);
    });

    it('takes patches in its own media type only', async () => {
      const { id } = await bench.anImage();
      expect(await patch(bench.url, id, [], 'application/json')).toBe(415);
    });

    it('adds and takes away tags', async () => {
      const { id } = await bench.anImage();
      const tag = async (method: string) =>
        (await fetch(`${bench.url}/v2/images/${id}/tags/gold`, { method })).status;
      expect([await tag('PUT'), await tag('PUT'), await tag('DELETE'), await tag('DELETE')]).toEqual([
        204, 204, 204, 404,
      ]);
    });

    it('words an error in HTML, JSON or text, as the client likes', async () => {
      const about = async (accept: string) => {
        const response = await fetch(`${bench.url}/v2/images/${randomUUID()}`, { headers: { accept } });
        return `${response.status} ${response.headers.get('content-type')} ${await response.text()}`;
      };
      expect(await about('*/*')).toMatch(
        /^404 text\/html; charset=UTF-8 <html>[\s\S]*<h1>404 Not Found<\/h1>\s+No image found/,
      );
      expect(await about('application/json')).toMatch(/^404 application\/json \{"message": ?"No image found/);
      expect(await about('text/plain')).toMatch(
        /^404 text\/plain; charset=UTF-8 404 Not Found\s+No image found/,
      );
    });

    it('knows its versions, its health, its schema and what it does not know', async () => {
      const get = async (path: string, method = 'GET') => {
        const response = await fetch(bench.url + path, { method, redirect: 'manual' });
        return { status: response.status, text: await response.text() };
      };
      const root = await get('/');
      expect(root.status).toBe(300);
      const current = JSON.parse(root.text).versions[0];
      expect(current).toMatchObject({
        status: 'CURRENT',
        links: [{ rel: 'self', href: `${bench.url}/v2/` }],
      });
      expect((await get('/versions')).status).toBe(200);
      expect((await get('/healthcheck')).status).toBe(200);
      expect(JSON.parse((await get('/v2/schemas/image')).text)).toMatchObject({
        name: 'image',
        properties: { disk_format: { enum: expect.arrayContaining(['vhd']) } },
        additionalProperties: { type: 'string' },
      });
      expect((await get('/v2')).status).toBe(302);
      expect((await get('/v2/nothing')).status).toBe(404);
      expect((await get('/v2/images', 'PUT')).status).toBe(405);
    });
  });
}

/** The name and the message of the error that a call ends in. */
async function failure(call: Promise<unknown>): Promise<string> {
  const error: unknown = await call.then(
    () => 'no error',
    (reason) => reason,
  );
  return String(error);
}

/** Sends a document; answers the status and the first sentence of a refusal. */
async function send(method: 'POST' | 'PATCH', url: string, body: unknown) {
  const type = method === 'POST' ? 'application/json' : 'application/openstack-images-v2.1-json-patch';
  const response = await fetch(url, {
    method,
    headers: { 'content-type': type, accept: 'application/json' },
    body: JSON.stringify(body),
  });
  const { message = '' } = (await response.json()) as { message?: string };
  return { status: response.status, message: message.split('<br')[0] };
}

async function patch(url: string, id: string, operations: unknown, type?: string): Promise<number> {
  const response = await fetch(`${url}/v2/images/${id}`, {
    method: 'PATCH',
    headers: { 'content-type': type ?? 'application/openstack-images-v2.1-json-patch' },
    body: JSON.stringify(operations),
  });
  await response.body?.cancel();
  return response.status;
}
