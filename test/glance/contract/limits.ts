import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openUpload, type RawUpload } from './raw-upload.ts';
import { type Bench, limits, openBench, type Target } from './target.ts';

const TOO_MUCH = limits.sizeCapBytes + 65536;

/** image_size_cap, user_storage_quota and client_socket_timeout. */
export function limitsContract(target: Target): void {
  describe('limits', () => {
    let bench: Bench;
    beforeEach(() => {
      bench = openBench(target.limitedUrl);
    });
    afterEach(() => bench.clear());

    it('refuses a chunked upload past the size cap on the way, and takes a smaller one', async () => {
      const { id } = await bench.anImage();
      const answer = await sent(await openUpload(bench.url, id), TOO_MUCH);
      expect(answer).toMatchObject({
        status: 413,
        text: expect.stringContaining('The incoming image is too large'),
      });
      expect(await bench.glance.getImage(id)).toMatchObject({ status: 'queued' });
      expect((await sent(await openUpload(bench.url, id), limits.sizeCapBytes)).status).toBe(204);
    });

    it('does not look at an announced length for the size cap', async () => {
      const { id } = await bench.anImage();
      const put = await openUpload(bench.url, id, TOO_MUCH, { Expect: '100-continue' });
      await put.continued();
      const answering = put.answer();
      await put.raw(Buffer.alloc(TOO_MUCH));
      expect((await answering).status).toBe(413);
      put.close();
      expect(await bench.glance.getImage(id)).toMatchObject({ status: 'queued' });
    });

    describe('with two thirds of the quota used', () => {
      beforeEach(async () => {
        const { id } = await bench.anImage();
        await sent(await openUpload(bench.url, id), limits.sizeCapBytes);
      });

      it('refuses an announced length past the quota before the body', async () => {
        const { id } = await bench.anImage();
        const put = await openUpload(bench.url, id, limits.sizeCapBytes, { Expect: '100-continue' });
        const answer = await put.answer();
        expect(answer).toMatchObject({ status: 413, text: expect.stringContaining('storage quota') });
        expect(answer.headers.get('connection')).toBe('close');
        put.close();
        expect(await bench.glance.getImage(id)).toMatchObject({ status: 'queued' });
      });

      it('refuses a chunked upload past the quota only at its end, and leaves the image saving for ever', async () => {
        const { id } = await bench.anImage();
        const answer = await sent(await openUpload(bench.url, id), limits.sizeCapBytes);
        expect(answer).toMatchObject({ status: 413, text: expect.stringContaining('storage quota') });
        expect(await bench.glance.getImage(id)).toMatchObject({ status: 'saving' });
        expect((await sent(await openUpload(bench.url, id), 10)).status).toBe(409);
        await bench.glance.deleteImage(id);
        expect(await bench.glance.getImage(id)).toBeUndefined();
      });

      it('refuses every upload once the quota is used up', async () => {
        const filler = await bench.anImage();
        const rest = limits.quotaBytes - limits.sizeCapBytes;
        expect((await sent(await openUpload(bench.url, filler.id), rest)).status).toBe(204);
        const { id } = await bench.anImage();
        expect((await sent(await openUpload(bench.url, id), 10)).status).toBe(413);
        expect(await bench.glance.getImage(id)).toMatchObject({ status: 'queued' });
      });
    });

    it('gives up on a client that stalls, and puts the image back to queued', async () => {
      const { id } = await bench.anImage();
      const put = await openUpload(bench.url, id);
      await put.chunk('abc');
      await bench.untilStatus(id, 'saving');
      await bench.untilStatus(id, 'queued');
      put.close();
    });
  });
}

/** Sends so many bytes in chunks and the end, and gives the answer, whenever it comes. */
async function sent(put: RawUpload, bytes: number) {
  const answering = put.answer();
  for (let left = bytes; left > 0; left -= 65536) await put.chunk(Buffer.alloc(Math.min(left, 65536)));
  await put.raw('0\r\n\r\n');
  const answer = await answering;
  put.close();
  return answer;
}
