import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ImageFilter } from '../../../glance/list.ts';
import { type Bench, openBench, type Target } from './target.ts';

/** What rotation and the command line rely on where lists are concerned. */
export function listsContract(target: Target): void {
  describe('lists of images', () => {
    let bench: Bench;
    let run: string;
    beforeEach(() => {
      bench = openBench(target.url);
      run = randomUUID();
    });
    afterEach(() => bench.clear());

    const names = async (filter: ImageFilter) => {
      const found: (string | null)[] = [];
      for await (const image of bench.glance.listImages(filter)) found.push(image.name);
      return found;
    };
    const ids = async (filter: ImageFilter) =>
      Array.fromAsync(bench.glance.listImages(filter), ({ id }) => id);
    const three = async () => {
      for (const name of ['b', 'c', 'a'])
        await bench.anImage({ name, properties: { run, image_type: 'backup' } });
    };

    it('follows every page and gives each image once', async () => {
      await three();
      for (const pageSize of [1, 2, 3, 100]) {
        const found = await names({ properties: { run }, pageSize });
        expect(found.toSorted()).toEqual(['a', 'b', 'c']);
      }
    });

    it('sorts as asked', async () => {
      await three();
      expect(await names({ properties: { run }, sort: 'name:asc', pageSize: 2 })).toEqual(['a', 'b', 'c']);
      expect(await names({ properties: { run }, sort: 'name:desc', pageSize: 1 })).toEqual(['c', 'b', 'a']);
    });

    it('goes on after an image', async () => {
      await three();
      const [, second] = await ids({ properties: { run }, sort: 'name:asc' });
      const rest = { properties: { run }, sort: 'name:asc', marker: second ?? '', pageSize: 1 };
      expect(await names(rest)).toEqual(['c']);
    });

    it('finds by name, by status and by properties together', async () => {
      await three();
      await bench.anImage({ name: 'other', properties: { run, image_type: 'snapshot' } });
      expect(await names({ properties: { run, image_type: 'snapshot' } })).toEqual(['other']);
      expect(await names({ name: 'b', properties: { run } })).toEqual(['b']);
      expect(await names({ status: 'active', properties: { run } })).toEqual([]);
      expect(await names({ status: 'queued', visibility: 'public', properties: { run } })).toEqual([]);
      expect(await names({ properties: { run: randomUUID() } })).toEqual([]);
    });

    it('finds by a name, whatever it holds', async () => {
      const odd = [
        'web-1-2026-11-24T08:42Z',
        '2026-11-24T08:42:00Z',
        'in:a',
        'a,b',
        '"a',
        'a\\"b',
        '\u00fc%&+?',
      ];
      for (const name of [...odd, 'a']) await bench.anImage({ name, properties: { run } });
      for (const name of odd) expect(await names({ name, properties: { run } }), name).toEqual([name]);
    });

    it('leaves deleted images out', async () => {
      const { id } = await bench.anImage({ properties: { run } });
      await bench.glance.deleteImage(id);
      expect(await names({ properties: { run } })).toEqual([]);
    });

    it('shows pages of 25 to those who ask for none, with the way to the next', async () => {
      for (let count = 0; count < 26; count++) await bench.anImage({ properties: { run } });
      const page = async (query: string) => (await fetch(`${bench.url}${query}`)).json();
      const first = Object(await page(`/v2/images?run=${run}`));
      expect(first).toMatchObject({ first: `/v2/images?run=${run}`, schema: '/v2/schemas/images' });
      expect(first.images).toHaveLength(25);
      expect(first.next).toBe(`/v2/images?run=${run}&marker=${first.images[24].id}`);
      const second = Object(await page(first.next));
      expect(second.images).toHaveLength(1);
      expect(second.next).toBeUndefined();
    });

    it.each([
      ['limit=x', 400],
      ['limit=-1', 400],
      ['limit=0', 200],
      ['marker=00000000-0000-4000-8000-000000000000', 400],
      ['sort_key=nothing', 400],
      ['sort_dir=up', 400],
      ['sort=name:up', 400],
      ['sort=name&sort_key=id', 400],
      ['sort_key=name&sort_dir=asc', 200],
      ['status=nothing', 200],
      ['name=a:b', 400],
      ['name=2026-11-24T08:42Z', 200],
      ['name=in:"a,b",c', 200],
      ['name=in:"a', 400],
      ['name=in:a"b"', 400],
      ['name=in:"a"b', 400],
      ['id=in:a,b', 200],
      ['owner=a:b', 200],
      ['visibility=nothing', 400],
      ['protected=maybe', 400],
    ])('answers ?%s with %i', async (query, status) => {
      const response = await fetch(`${bench.url}/v2/images?${query}`);
      await response.body?.cancel();
      expect(response.status).toBe(status);
    });
  });
}
