import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openUpload, type RawUpload } from './raw-upload.ts';
import { type Bench, openBench, type Target } from './target.ts';

/** Uploads that end before their end: what the plugin's promise of "no terminator, no image" rests on. */
export function cutUploadsContract(target: Target): void {
  describe('uploads that are cut', () => {
    let bench: Bench;
    beforeEach(() => {
      bench = openBench(target.url);
    });
    afterEach(() => bench.clear());

    it('puts the image back to queued when the connection is reset, ready for another upload', async () => {
      const { id } = await bench.anImage();
      for (const lengthBytes of [undefined, 1000]) {
        const put = await openUpload(bench.url, id, lengthBytes);
        await (lengthBytes ? put.raw('abc') : put.chunk('abc'));
        await bench.untilStatus(id, 'saving');
        put.reset();
        await bench.untilStatus(id, 'queued');
        expect(await bench.glance.getImage(id)).toMatchObject({ sizeBytes: null, checksum: null });
      }
      const again = await openUpload(bench.url, id);
      await again.chunk('abc');
      await again.raw('0\r\n\r\n');
      expect((await again.answer()).status).toBe(204);
      again.close();
    });

    const stops: [string, number | undefined, string, number, string][] = [
      ['between two chunks', undefined, '3\r\nabc\r\n', 400, 'queued'],
      ['before any chunk', undefined, '', 400, 'queued'],
      ['after the data of a chunk', undefined, '3\r\nabc', 400, 'queued'],
      ['inside a chunk', undefined, '9\r\nabc', 500, 'queued'],
      ['inside the size of a chunk', undefined, '3\r\nabc\r\n1', 500, 'queued'],
      ['before the length it announced', 10, 'abc', 500, 'queued'],
      ['after the last chunk but for its line break', undefined, '3\r\nabc\r\n0\r\n', 204, 'active'],
    ];
    it.each(stops)('knows a client that stops %s', async (_, lengthBytes, bytes, status, imageStatus) => {
      const { id } = await bench.anImage();
      const put = await openUpload(bench.url, id, lengthBytes);
      if (bytes) await put.raw(bytes);
      put.fin();
      expect((await put.answer()).status).toBe(status);
      put.close();
      expect(await bench.glance.getImage(id)).toMatchObject({ status: imageStatus });
      if (imageStatus === 'queued') expect(await uploaded(bench, id)).toBe(204);
    });

    it.each(['3\r\nabc\r\nzzz\r\n', 'hello\r\n'])('knows a frame that is none: %j', async (bytes) => {
      const { id } = await bench.anImage();
      const put = await openUpload(bench.url, id);
      await put.raw(bytes);
      expect((await put.answer()).status).toBe(400);
      put.close();
      expect(await bench.glance.getImage(id)).toMatchObject({ status: 'queued' });
      expect(await uploaded(bench, id)).toBe(204);
    });
  });
}

async function uploaded({ url }: Bench, id: string): Promise<number> {
  const put: RawUpload = await openUpload(url, id);
  await put.chunk('again');
  await put.raw('0\r\n\r\n');
  const { status } = await put.answer();
  put.close();
  return status;
}
