import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { createClient } from '../../bin/client.ts';
import { aServer } from '../glance-client/fake.ts';

const asking = async (body: Buffer, headers: Record<string, string>) => {
  const api = await aServer((_, res) => void res.writeHead(200, headers).end(body));
  return createClient({ api, auth: 'none' }).get('/jobs');
};

it('takes no more than 8 MiB of an answer, packed or not', async () => {
  const long = Buffer.from(`["${'x'.repeat(8 * 2 ** 20)}"]`);
  for (const [body, headers] of [
    [long, {}],
    [gzipSync(long), { 'content-encoding': 'gzip' }],
  ] as const)
    await expect(asking(body, headers)).rejects.toThrow(
      /does not answer as xensnap does \(GET \/jobs: the answer has more than 8388608 bytes\)/,
    );
  expect(await asking(Buffer.from('[1]'), {})).toEqual([1]);
});
