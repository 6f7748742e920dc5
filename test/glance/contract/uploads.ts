import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openUpload } from './raw-upload.ts';
import { type Bench, openBench, type Target } from './target.ts';

const hashOf = (algorithm: string, data: Buffer) => createHash(algorithm).update(data).digest('hex');

/** Uploads that go well, or are refused before they begin. */
export function uploadsContract(target: Target): void {
  describe('uploads', () => {
    let bench: Bench;
    beforeEach(() => {
      bench = openBench(target.url);
    });
    afterEach(() => bench.clear());

    const upload = async (id: string, data: Buffer) => {
      const put = await openUpload(bench.url, id);
      for (let at = 0; at < data.length; at += 65536) await put.chunk(data.subarray(at, at + 65536));
      await put.raw('0\r\n\r\n');
      const answer = await put.answer();
      put.close();
      return answer;
    };
    const download = async (id: string, range?: string) => {
      const response = await fetch(`${bench.url}/v2/images/${id}/file`, range ? { headers: { range } } : {});
      return { response, data: Buffer.from(await response.arrayBuffer()) };
    };

    it('hashes a chunked stream, activates the image and gives the same bytes back', async () => {
      const data = randomBytes(5_000_001);
      const { id } = await bench.anImage();
      expect((await upload(id, data)).status).toBe(204);
      expect(await bench.glance.getImage(id)).toMatchObject({
        status: 'active',
        sizeBytes: data.length,
        checksum: hashOf('md5', data),
        osHashAlgo: 'sha512',
        osHashValue: hashOf('sha512', data),
        properties: {},
      });
      const { response, data: back } = await download(id);
      expect(back.equals(data)).toBe(true);
      expect(response.headers.get('content-md5')).toBe(hashOf('md5', data));
    });

    it('gives ranges of an image', async () => {
      const { id } = await bench.anImage();
      await upload(id, Buffer.from('abcdef'));
      const part = async (range: string) => {
        const { response, data } = await download(id, range);
        return `${response.status} ${response.headers.get('content-range')} ${data}`;
      };
      expect(await part('bytes=1-2')).toBe('206 bytes 1-2/6 bc');
      expect(await part('bytes=4-')).toBe('206 bytes 4-5/6 ef');
      expect(await part('bytes=-1')).toBe('206 bytes 5-5/6 f');
      expect((await download(id, 'bytes=6-9')).response.status).toBe(416);
    });

    it('takes a body of known length', async () => {
      const { id } = await bench.anImage();
      const put = await openUpload(bench.url, id, 3);
      await put.raw('abc');
      expect((await put.answer()).status).toBe(204);
      put.close();
      expect(await bench.glance.getImage(id)).toMatchObject({ status: 'active', sizeBytes: 3 });
    });

    it('activates an image of nothing when the body is empty, or is none', async () => {
      const chunked = await bench.anImage();
      expect((await upload(chunked.id, Buffer.alloc(0))).status).toBe(204);
      const none = await bench.anImage();
      const put = await openUpload(bench.url, none.id, null);
      expect((await put.answer()).status).toBe(204);
      put.close();
      for (const { id } of [chunked, none]) {
        expect(await bench.glance.getImage(id)).toMatchObject({
          status: 'active',
          sizeBytes: 0,
          checksum: 'd41d8cd98f00b204e9800998ecf8427e',
        });
      }
    });

    it('has no data to give before an upload', async () => {
      const { id } = await bench.anImage();
      expect((await download(id)).response.status).toBe(204);
      expect((await download(randomUUID())).response.status).toBe(404);
    });

    it('takes no second upload for an active image', async () => {
      const { id } = await bench.anImage();
      await upload(id, Buffer.from('first'));
      const second = await upload(id, Buffer.from('second'));
      expect(second).toMatchObject({ status: 409, text: expect.stringContaining('from active to saving') });
      expect(String((await download(id)).data)).toBe('first');
    });

    it('takes no second upload beside a running one, and lets the first end well', async () => {
      const { id } = await bench.anImage();
      const first = await openUpload(bench.url, id);
      await first.chunk('first');
      await bench.untilStatus(id, 'saving');
      const second = await upload(id, Buffer.from('second'));
      expect(second).toMatchObject({ status: 409, text: expect.stringContaining('from saving to saving') });
      expect((await bench.glance.updateImage(id, { note: 'meanwhile' })).properties).toEqual({
        note: 'meanwhile',
      });
      await first.raw('0\r\n\r\n');
      expect((await first.answer()).status).toBe(204);
      first.close();
      expect(await bench.glance.getImage(id)).toMatchObject({ status: 'active' });
      expect(String((await download(id)).data)).toBe('first');
    });

    it('forgets what was changed while an upload ran', async () => {
      const { id } = await bench.anImage({ properties: { note: 'before' } });
      const put = await openUpload(bench.url, id);
      await put.chunk('abc');
      await bench.untilStatus(id, 'saving');
      const changed = await bench.glance.updateImage(id, { note: 'meanwhile', more: '1' });
      expect(changed.properties).toEqual({ note: 'meanwhile', more: '1' });
      await put.raw('0\r\n\r\n');
      expect((await put.answer()).status).toBe(204);
      put.close();
      expect((await bench.glance.getImage(id))?.properties).toEqual({ note: 'before' });
      const after = await bench.glance.updateImage(id, { note: 'after' });
      expect(after).toMatchObject({ status: 'active', properties: { note: 'after' } });
    });

    it('answers 410 to an upload whose image was deleted, once the body has ended', async () => {
      const { id } = await bench.anImage();
      const put = await openUpload(bench.url, id);
      await put.chunk('abc');
      await bench.untilStatus(id, 'saving');
      await bench.glance.deleteImage(id);
      await put.chunk('def');
      await put.raw('0\r\n\r\n');
      expect((await put.answer()).status).toBe(410);
      put.close();
      expect(await bench.glance.getImage(id)).toBeUndefined();
    });

    it('wants the formats to be known first', async () => {
      const created = await fetch(`${bench.url}/v2/images`, { method: 'POST', body: '{}' });
      const { id } = Object(await created.json());
      expect((await upload(id, Buffer.from('abc'))).status).toBe(400);
      expect(await bench.glance.getImage(id)).toMatchObject({
        status: 'queued',
        visibility: 'shared',
        name: null,
      });
      await bench.glance.deleteImage(id);
    });

    it('takes bytes only', async () => {
      const { id } = await bench.anImage();
      const put = await openUpload(bench.url, id, 3, { 'Content-Type': 'text/plain' });
      await put.raw('abc');
      expect((await put.answer()).status).toBe(415);
      put.close();
      expect(await bench.glance.getImage(id)).toMatchObject({ status: 'queued' });
    });

    it('says go on to a client that waits, when the image is already saving', async () => {
      const { id } = await bench.anImage();
      const put = await openUpload(bench.url, id, undefined, { Expect: '100-continue' });
      await put.continued();
      expect(await bench.glance.getImage(id)).toMatchObject({ status: 'saving' });
      await put.chunk('abc');
      await put.raw('0\r\n\r\n');
      expect((await put.answer()).status).toBe(204);
      put.close();
    });

    it('refuses a client that waits at once, without a go-on, and ends the connection', async () => {
      const put = await openUpload(bench.url, randomUUID(), undefined, { Expect: '100-continue' });
      await expect(put.continued()).rejects.toThrow(/404 Not Found/);
      const answer = await put.answer();
      expect(answer.status).toBe(404);
      expect(answer.headers.get('connection')).toBe('close');
      put.close();
    });

    it('refuses a client that does not wait, and reads the rest of its body', async () => {
      const put = await openUpload(bench.url, randomUUID());
      const answering = put.answer();
      for (let count = 0; count < 40; count++) await put.chunk(Buffer.alloc(65536));
      await put.raw('0\r\n\r\n');
      expect((await answering).status).toBe(404);
      put.close();
    });
  });
}
