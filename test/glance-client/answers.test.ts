import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createKeystone } from '../../glance/keystone.ts';
import { aClient, anImage, aServer, failure } from './fake.ts';
import { CREDENTIAL } from './stub-keystone.ts';

/** A Glance, or a Keystone, that gives this body to everything. */
const answering = (body: string | Buffer, headers: Record<string, string> = {}) =>
  aServer((_, res) => void res.writeHead(200, headers).end(body));

/** JSON of so many bytes that takes its reader as long as any. */
const costly = (bytes: number): Record<string, string> => ({
  'brackets in each other': '['.repeat(bytes),
  'brackets in each other, closed': '['.repeat(bytes / 2) + ']'.repeat(bytes / 2),
  'objects in each other': `${'{"a":'.repeat(bytes / 6)}1${'}'.repeat(bytes / 6)}`,
  'empty arrays': `[${'[],'.repeat(bytes / 3 - 1)}[]]`,
  'names without a number': `{${Array.from({ length: bytes / 14 }, (_, at) => `"${at}":"x"`).join()}}`,
  digits: '1'.repeat(bytes),
  'an exponent': `1e${'9'.repeat(bytes)}`,
  escapes: `"${'\\u0000'.repeat(bytes / 6)}"`,
  spaces: ' '.repeat(bytes),
});

describe('an image', () => {
  it('is taken with all the properties that Glance allows', async () => {
    const properties = Array.from({ length: 128 }, (_, at) => [`p${at}`.padEnd(255, '-'), 'x'.repeat(255)]);
    const url = await answering(JSON.stringify({ ...anImage('a'), ...Object.fromEntries(properties) }));
    const image = await aClient({ url }).getImage('a');
    expect(Object.keys(image?.properties ?? {}).length).toBeGreaterThan(127);
  });

  it('of more than a MiB is GlanceUnavailable', async () => {
    const url = await answering(JSON.stringify({ ...anImage('a'), padding: 'x'.repeat(2 ** 20) }));
    expect(await failure(aClient({ url }).getImage('a'))).toMatch(
      /^GlanceUnavailable: .*GET \/v2\/images\/a: the answer has more than 1048576 bytes/,
    );
  });

  it('that comes packed is not unpacked', async () => {
    const packed = gzipSync(JSON.stringify(anImage('a')));
    const url = await answering(packed, { 'content-encoding': 'gzip' });
    expect(await failure(aClient({ url }).getImage('a'))).toMatch(
      /^GlanceUnavailable: .*as a Glance v2 does/,
    );
  });
});

it.each(Object.entries(costly(8 * 2 ** 20 - 200)))('reads a page of %s in a moment', async (_, json) => {
  const url = await answering(`{"images":[],"x":${json}}`);
  const before = process.cpuUsage();
  const list = aClient({ url }).listImages();
  // Some of it is JSON, and some is not.
  await list.next().catch((error: Error) => expect(error.name).toBe('GlanceUnavailable'));
  expect(process.cpuUsage(before).user / 1e6).toBeLessThan(4);
});

describe('Keystone', () => {
  const aKeystone = (url: string) => {
    const keystone = createKeystone({
      ...{ url, credential: async () => CREDENTIAL },
      clock: { now: () => new Date() },
    });
    onTestFinished(() => keystone.close());
    return keystone;
  };
  const token = (more: object) =>
    JSON.stringify({ token: { expires_at: '2099-01-01T00:00:00.000000Z', user: { id: 'u' }, ...more } });
  const issuing = (body: string) =>
    aServer((_, res) => void res.writeHead(201, { 'x-subject-token': 'token' }).end(body));

  it('may give a token with the catalogue of a large cloud', async () => {
    const endpoint = { id: 'x'.repeat(32), url: 'x'.repeat(100), region: 'region-1', interface: 'public' };
    const catalog = Array.from({ length: 100 }, () => ({
      type: 'service',
      endpoints: Array(30).fill(endpoint),
    }));
    expect(await aKeystone(await issuing(token({ catalog }))).token()).toBe('token');
  });

  it('is KeystoneUnavailable when it gives more than 2 MiB', async () => {
    const url = await issuing(token({ catalog: 'x'.repeat(2 * 2 ** 20) }));
    expect(await failure(aKeystone(url).token())).toMatch(
      /^KeystoneUnavailable: .*the answer has more than 2097152 bytes/,
    );
  });

  it.each([
    [
      'a date in arrays',
      `{"token":{"user":{"id":"u"},"expires_at":${'['.repeat(500_000)}${']'.repeat(500_000)}}}`,
    ],
    [
      'a date with methods of its own',
      '{"token":{"user":{"id":"u"},"expires_at":{"toString":1,"valueOf":1}}}',
    ],
    ['nothing', ''],
  ])('is KeystoneUnavailable when it gives %s', async (_, body) => {
    expect(await failure(aKeystone(await issuing(body)).token())).toMatch(
      /^KeystoneUnavailable: .*as a Keystone v3 does/,
    );
  });
});
