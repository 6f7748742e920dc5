import { describe, expect, it } from 'vitest';
import type { FaultOrder } from '../../local/glance/faults.ts';
import { CREDENTIAL, stubKeystone } from '../glance-client/stub-keystone.ts';
import { type ScenarioOptions, scenario } from '../support/scenario.ts';

const LOCK = 'vm-data/allowvssprovider';
const oneVm: ScenarioOptions = {
  pool: { vms: 1, diskMib: 2 },
  service: { timings: { uploadRetrySeconds: 1 } },
};

it('refuses a request, with nothing begun, where Glance does not take the image’s record', async () => {
  const { pool, glance, ask, leftBehind } = await scenario(oneVm);
  const vm = pool.vms()[0]?.uuid;
  const answers = [
    [401, 502, 'GlanceUnauthorized', /token/],
    [403, 502, 'GlanceForbidden', /may not do this/],
    [409, 502, 'GlanceConflict', /answered 409/],
    [413, 413, 'GlanceTooLarge', /raise Glance's limit/],
    [503, 502, 'GlanceUnavailable', /look at Glance, or try later/],
  ] as const;
  for (const [glanceStatus, status, name, message] of answers) {
    // A client may ask again by itself.
    glance.faults.add({ method: 'POST', path: /^\/v2\/images$/, status: glanceStatus, times: 9 });
    const { status: said, body } = await ask('POST', '/snapshots', { vm });
    expect({ said, name: body.error.name }).toEqual({ said: status, name });
    expect(body.error.message).toMatch(message);
    glance.faults.clear();
    expect(glance.images()).toEqual([]);
    expect(await leftBehind()).toEqual([]);
  }
  const { snapshots } = (await ask('GET', '/snapshots')).body;
  expect(
    snapshots.map((each: { status: string; error: { name: string } }) => [each.status, each.error.name]),
  ).toEqual(answers.toReversed().map(([, , name]) => ['failed', name]));
});

it('refuses a request where Glance does not take the token, and shows the token to nobody', async () => {
  const { pool, glance, logs, ask } = await scenario({
    ...oneVm,
    glance: { token: 'the-right-one' },
    service: ({ glance: { url } }) => ({ glance: { url, token: 'an-old-one' } }),
  });
  const { status, body } = await ask('POST', '/snapshots', { vm: pool.vms()[0]?.uuid });
  expect({ status, name: body.error.name }).toEqual({ status: 502, name: 'GlanceUnauthorized' });
  expect(body.error.message).toMatch(/token is wrong or has expired/);
  expect(JSON.stringify([body, logs])).not.toContain('an-old-one');
  expect(glance.images()).toEqual([]);
});

/** A Keystone, and a Glance that of its tokens takes `good` alone. */
async function behindKeystone(at: ScenarioOptions = oneVm) {
  const keystone = await stubKeystone();
  const service = ({ glance: { url } }: { glance: { url: string } }) => ({
    timings: { uploadRetrySeconds: 1 },
    glance: { url, keystone: { url: keystone.url, credential: CREDENTIAL } },
  });
  return { keystone, ...(await scenario({ ...at, glance: { token: 'good' }, service })) };
}

it('gives an upload one new token when Glance does not take the first, which was revoked, say', async () => {
  const { keystone, pool, request, job } = await behindKeystone();
  // Once for the image's record, then once for each try.
  keystone.next.push('good', 'revoked', 'good');
  const done = await job(await request(pool.vms()[0]?.uuid ?? ''));
  expect(done).toMatchObject({ status: 'succeeded', uploadAttempts: 2 });
});

it('gives no upload a third token', async () => {
  const { keystone, pool, request, job, logs } = await behindKeystone();
  keystone.next.push('good', 'revoked', 'revoked-as-well', 'good');
  const done = await job(await request(pool.vms()[0]?.uuid ?? ''));
  expect(done).toMatchObject({ status: 'failed', uploadAttempts: 2, error: { name: 'GlanceUnauthorized' } });
  expect(logs.filter((line) => line.includes('has a new one'))).toHaveLength(1);
});

describe('a job fails with the true reason, and nothing is left behind, when Glance', () => {
  const put: FaultOrder = { method: 'PUT', path: /\/file$/ };

  it.each<[string, FaultOrder, string, RegExp]>([
    [
      'answers the data with 401 each time',
      { ...put, status: 401, times: 2 },
      'GlanceUnauthorized',
      /401|token/,
    ],
    ['answers the data with 403', { ...put, status: 403 }, 'GlanceForbidden', /403|forbid|may not/i],
    ['answers the data with 409', { ...put, status: 409 }, 'GlanceConflict', /409|not queued|conflict/i],
    ['answers the data with 413', { ...put, status: 413 }, 'GlanceTooLarge', /413|too large|limit|quota/i],
    [
      'answers 413 in the middle of the data',
      { ...put, status: 413, afterBytes: 100_000 },
      'GlanceTooLarge',
      /413|too large|limit|quota/i,
    ],
    [
      'answers the data with 503 each time',
      { ...put, status: 503, times: 3 },
      'GlanceUnavailable',
      /503|unavailable/i,
    ],
    [
      'cuts every upload off',
      { ...put, drop: 'during', times: 3 },
      'GlanceUnavailable',
      /connection|broke|ended/i,
    ],
  ])('%s', async (_, fault, name, message) => {
    const { pool, glance, logs, request, job } = await scenario({
      ...oneVm,
      glance: { token: 'a-good-token' },
    });
    const [vm] = pool.vms();
    glance.faults.add(fault);
    const done = await job(await request(vm?.uuid ?? ''));
    expect(done, logs.join('\n')).toMatchObject({ status: 'failed', error: { name } });
    expect(done.error?.message).toMatch(message);
    expect(done.uploadAttempts).toBe(fault.times ?? 1);
    expect(glance.faults.pending()).toBe(0);
    expect(JSON.stringify([done.error, done.warnings, logs])).not.toContain('a-good-token');
    expect(vm?.liveXenstore()?.[LOCK]).toBe('false');
    expect(vm?.record().xenstore_data).toEqual({ [LOCK]: 'false' });
    expect(glance.images()).toEqual([]);
  });

  it('takes no image of that size', async () => {
    const { pool, glance, request, job } = await scenario({
      ...oneVm,
      glance: { sizeCapBytes: 100_000 },
    });
    const done = await job(await request(pool.vms()[0]?.uuid ?? ''));
    expect(done).toMatchObject({ status: 'failed', error: { name: 'GlanceTooLarge' } });
    expect(done.error?.message).toMatch(/too large/);
    expect(glance.images()).toEqual([]);
  });
});

describe('a job survives', () => {
  it.each<[string, FaultOrder]>([
    ['a 503 that goes away', { method: 'PUT', path: /\/file$/, status: 503 }],
    ['an upload that is cut off', { method: 'PUT', path: /\/file$/, drop: 'during', afterBytes: 50_000 }],
    ['an upload whose answer is lost', { method: 'PUT', path: /\/file$/, drop: 'after' }],
    ['a 503 when the image is verified', { method: 'PATCH', path: /images/, status: 503, times: 2 }],
  ])('%s', async (_, fault) => {
    const { pool, glance, request, job } = await scenario(oneVm);
    glance.faults.add(fault);
    const done = await job(await request(pool.vms()[0]?.uuid ?? ''));
    expect(done.error).toBeUndefined();
    expect(done.status).toBe('succeeded');
    expect(glance.faults.pending()).toBe(0);
    expect(glance.images()).toMatchObject([{ id: done.id, status: 'active', os_hash_value: done.sha512 }]);
  });
});

it('ends as cancelled when the image is deleted by its owner while it is uploaded', async () => {
  const deleted = Promise.withResolvers<void>();
  const { pool, glance, request, job } = await scenario(oneVm);
  glance.faults.add({ method: 'PUT', path: /\/file$/, afterBytes: 1, hold: deleted.promise });
  const stop = glance.onUpload(({ event, imageId }) => {
    if (event !== 'started') return;
    stop();
    const gone = fetch(`${glance.url}/v2/images/${imageId}`, { method: 'DELETE' });
    void gone.then(() => deleted.resolve(), deleted.reject);
  });
  const done = await job(await request(pool.vms()[0]?.uuid ?? ''));
  expect(done).toMatchObject({ status: 'cancelled', error: { name: 'ImageDeleted' } });
  expect(glance.images()).toEqual([]);
});

it('stops without waiting for a Keystone that is away, with all undone but the image', async () => {
  const { keystone, pool, service, clock, request, job } = await behindKeystone();
  keystone.next.push('good');
  const id = await request(pool.vms()[0]?.uuid ?? '');
  keystone.answer = (_req, res) => res.writeHead(503).end();
  await job(id, ({ phase }) => phase === 'StartUpload');
  // The last token is no good either.
  service.runtime.keystone?.forget();
  const begun = clock.now().getTime();
  await service.drain();
  expect((clock.now().getTime() - begun) / 1000).toBeLessThan(45);
  const { debts } = await job(id, () => true);
  expect(debts).toEqual(new Set(['image']));
  delete keystone.answer;
  keystone.next.push('good');
  await service.janitor();
  await job(id);
});
