import { beforeAll, describe, expect, it } from 'vitest';
import { poolOf, type Scenario, type ScenarioOptions, scenario } from '../support/scenario.ts';
import { selfSigned } from '../xapi/raw-server.ts';

const small: ScenarioOptions = { pool: { vms: 1, diskMib: 2 } };

let own: ReturnType<typeof selfSigned>;
let other: ReturnType<typeof selfSigned>;
beforeAll(() => {
  own = selfSigned('xen1');
  other = selfSigned('somebody');
});

async function refusal({ ask, pool }: Scenario, more: object = {}) {
  const { status, headers, body } = await ask('POST', '/snapshots', { vm: pool.vms()[0]?.uuid, ...more });
  return { status, retryAfter: headers.get('retry-after'), ...body.error };
}

/** Nothing was begun. */
async function expectNothing({ ask, glance, leftBehind }: Scenario) {
  expect((await ask('GET', '/snapshots')).body.snapshots).toEqual([]);
  expect(glance.images()).toEqual([]);
  expect(await leftBehind()).toEqual([]);
}

it('refuses with what to put right where the pool does not take the password', async () => {
  const all = await scenario({
    ...small,
    service: ({ pool }) => ({ pools: [{ ...poolOf(pool), password: 'not this one' }] }),
  });
  const said = await refusal(all);
  expect(said).toMatchObject({ status: 503, name: 'PoolLoginRefused' });
  expect(said.message).toMatch(/refused user name and password.*secret/);
  expect(said.message).not.toContain('not this one');
  expect(all.logs.join('\n')).not.toContain('not this one');
  await expectNothing(all);
});

it('refuses with both fingerprints where the pool shows another certificate than the pinned one', async () => {
  const all = await scenario({
    pool: { ...small.pool, tls: own },
    service: ({ pool }) => ({ pools: [{ ...poolOf(pool), fingerprints: [other.fingerprint] }] }),
  });
  const said = await refusal(all);
  expect(said).toMatchObject({ status: 503, name: 'PoolCertificateMismatch' });
  expect(said.message).toContain(own.fingerprint);
  expect(said.message).toContain(other.fingerprint);
  expect(all.pool.calls).toEqual([]);
  await expectNothing(all);
});

it('images a VM over TLS, of the pool’s pinned certificate and of a Glance that a CA vouches for', async () => {
  const { pool, glance, request, job } = await scenario({
    pool: { ...small.pool, tls: own },
    glance: { tls: other, token: 'a-token' },
  });
  const done = await job(await request(pool.vms()[0]?.uuid ?? ''));
  expect(done.error).toBeUndefined();
  expect(glance.images()).toMatchObject([{ id: done.id, status: 'active' }]);
});

it('refuses, and says when to ask again, where no member of the pool can be reached', async () => {
  const all = await scenario(small);
  await all.pool.setReachable(false);
  const said = await refusal(all);
  expect(said).toMatchObject({ status: 503, name: 'PoolUnreachable', retryAfter: '15' });
  for (const url of [all.pool.url, ...all.pool.memberUrls]) expect(said.message).toContain(url);
  await expectNothing(all);
  await all.pool.setReachable(true);
  expect((await all.job(await all.request(all.pool.vms()[0]?.uuid ?? ''))).status).toBe('succeeded');
});

describe('a libvirt pool', () => {
  const libvirt = { name: 'kvm', driver: 'libvirt' as const, addresses: [], username: '', password: '' };

  it('is refused by name as not implemented, while other pools are served', async () => {
    const all = await scenario({
      ...small,
      service: ({ pool }) => ({ pools: [libvirt, poolOf(pool)] }),
    });
    const said = await refusal(all, { pool: 'kvm' });
    expect(said).toMatchObject({ status: 501, name: 'DriverNotImplemented' });
    expect(said.message).toMatch(/"kvm" has the driver libvirt/);
    await expectNothing(all);
    expect((await all.job(await all.request(all.pool.vms()[0]?.uuid ?? ''))).status).toBe('succeeded');
  });

  it('is refused without its name where it is the only one', async () => {
    const all = await scenario({ ...small, service: { pools: [libvirt] } });
    expect(await refusal(all)).toMatchObject({ status: 501, name: 'DriverNotImplemented' });
    await expectNothing(all);
  });
});

it('finishes a job whose pool goes away for a while in the middle of it', async () => {
  const gone = Promise.withResolvers<void>();
  const { pool, glance, request, job } = await scenario({
    ...small,
    speed: 20,
    service: {
      onState: (_job, state) => {
        if (state === 'StartSnapshot') void pool.setReachable(false).then(gone.resolve, gone.reject);
      },
    },
  });
  const id = await request(pool.vms()[0]?.uuid ?? '');
  await gone.promise;
  await job(id, ({ phase }) => phase === 'StartSnapshot');
  await pool.setReachable(true);
  const done = await job(id);
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(glance.images()).toMatchObject([{ id, status: 'active' }]);
  expect(pool.calls.filter(({ method }) => method === 'Async.VM.snapshot')).toHaveLength(1);
}, 120_000);
