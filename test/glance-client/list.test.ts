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
    '/v2/images?image_type=backup&limit=100&name=a&b&status=active&sort=created_at:desc',
  ]);
});
