import { expect, it } from 'vitest';
import type { Image } from '../../glance/image.ts';
import { aClient, anImage, aServer, failure } from './fake.ts';

async function allOf(images: AsyncGenerator<Image>): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of images) ids.push(id);
  return ids;
}

it('takes the marker from `next` and nothing else', async () => {
  const asked: unknown[] = [];
  const url = await aServer((req, res) => {
    asked.push(req.url);
    const page = req.url?.includes('marker')
      ? { images: [anImage('b')] }
      : { images: [anImage('a')], next: 'http://elsewhere.invalid/v2/images?limit=1&marker=a' };
    res.end(JSON.stringify(page));
  });
  expect(await allOf(aClient({ url: `${url}/image` }).listImages({ pageSize: 1 }))).toEqual(['a', 'b']);
  expect(asked).toEqual(['/image/v2/images?limit=1', '/image/v2/images?limit=1&marker=a']);
});

it('throws when a page fails, after what the pages before it gave', async () => {
  const url = await aServer((req, res) => {
    if (req.url?.includes('marker')) return void res.writeHead(503).end('later');
    res.end(JSON.stringify({ images: [anImage('a')], next: '/v2/images?marker=a' }));
  });
  const seen: string[] = [];
  const listing = (async () => {
    for await (const { id } of aClient({ url }).listImages()) seen.push(id);
  })();
  expect(await failure(listing)).toMatch(/^GlanceUnavailable: .*503/);
  expect(seen).toEqual(['a']);
});

it('throws when the pages go in a circle', async () => {
  const page = { images: [anImage('a')], next: '/v2/images?marker=a' };
  const url = await aServer((_, res) => void res.end(JSON.stringify(page)));
  expect(await failure(allOf(aClient({ url }).listImages()))).toMatch(/^GlanceUnavailable: .*in a circle/);
});

it('asks for what the filter says, and lets no property take the place of an attribute', async () => {
  const asked: string[] = [];
  const url = await aServer((req, res) => {
    asked.push(decodeURIComponent(req.url ?? ''));
    res.end('{"images":[]}');
  });
  const properties = { image_type: 'backup', limit: '0' };
  await allOf(
    aClient({ url }).listImages({ name: 'a&b', status: 'active', properties, sort: 'created_at:desc' }),
  );
  expect(asked).toEqual([
    '/v2/images?image_type=backup&limit=100&name=eq:a&b&status=active&sort=created_at:desc',
  ]);
});

/** A Glance that gives these pages, one after the other, the last one again and again. */
const pages = async (page: (index: number) => object) => {
  let index = 0;
  return aServer((_, res) => void res.end(JSON.stringify(page(index++))));
};

it.each(['http://[', 'http://a b:x', `?${'x'.repeat(5000)}`])(
  'names a next page that is none: %s',
  async (next) => {
    const url = await pages(() => ({ images: [anImage('a')], next }));
    const message = await failure(allOf(aClient({ url }).listImages()));
    expect(message).toMatch(/^GlanceUnavailable: .*: that is no address$/);
    expect(message).toContain(next.slice(0, 100));
    expect(message.length).toBeLessThan(500);
  },
);

it('gives an image once that a second page repeats', async () => {
  const all = [{ images: ['a', 'b'], next: '?marker=b' }, { images: ['b', 'c'] }];
  const url = await pages((index) => {
    const { images = [], ...rest } = all[index] ?? {};
    return { images: images.map(anImage), ...rest };
  });
  expect(await allOf(aClient({ url }).listImages())).toEqual(['a', 'b', 'c']);
});

it.each<[string, string[]]>([
  ['the same images', ['a', 'b']],
  ['no image', []],
])('notices pages with %s behind markers that are always new', async (_, ids) => {
  const url = await pages((index) => ({ images: ids.map(anImage), next: `?marker=${index}` }));
  expect(await failure(allOf(aClient({ url }).listImages()))).toMatch(/^GlanceUnavailable: .*in a circle/);
});

it('gives no more than 10,000 images, and then says so', async () => {
  const url = await pages((index) => ({
    images: Array.from({ length: 1000 }, (_, each) => anImage(`${index}-${each}`)),
    next: `?marker=${index}`,
  }));
  let count = 0;
  const listing = (async () => {
    for await (const _ of aClient({ url }).listImages()) count += 1;
  })();
  expect(await failure(listing)).toMatch(/^GlanceUnavailable: Glance lists more than 10000 images at /);
  expect(count).toBe(10_000);
});

it('reads no more than 64 MiB of pages', async () => {
  const padding = 'x'.repeat(7 * 2 ** 20);
  const url = await pages((index) => ({
    images: [{ ...anImage(`${index}`), padding }],
    next: `?marker=${index}`,
  }));
  expect(await failure(allOf(aClient({ url }).listImages()))).toMatch(
    /^GlanceUnavailable: Glance's list of images has more than 67108864 bytes/,
  );
});

it.each<[string, object]>([
  ['more images than Glance gives at once', { images: Array(1001).fill(1) }],
  ['a million of what is no image', { images: Array(2_000_000).fill(1) }],
  ['no list', { images: { length: 1 } }],
  ['another kind of next', { images: [], next: 5 }],
])('says of a page with %s that it is not Glance’s', async (_, page) => {
  const url = await pages(() => page);
  const before = process.memoryUsage().heapUsed;
  expect(await failure(allOf(aClient({ url }).listImages()))).toMatch(
    /^GlanceUnavailable: .*did not answer as a Glance v2 does/,
  );
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(200 * 2 ** 20);
});
