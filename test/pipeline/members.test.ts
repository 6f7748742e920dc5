import { expect, it } from 'vitest';
import type { SimulatedPool } from '../../local/pool/pool.ts';
import { type Link, startLink } from '../support/link.ts';
import { POOL_NAME, poolOf, scenario } from '../support/scenario.ts';

/** A service that was told one way to a pool of three hosts, and that way; it ends when the test says so. */
async function toldOneAddress(urlOf: (pool: SimulatedPool) => string, leaves: readonly string[] = []) {
  let link: Link | undefined;
  const all = await scenario({
    restarts: true,
    pool: { hosts: 3, vms: 2, diskMib: 2 },
    leaves,
    prepare: async (pool) => {
      link = await startLink(urlOf(pool), { afterBytes: Number.POSITIVE_INFINITY, effect: 'cut', times: 0 });
    },
    service: ({ pool }) => ({ pools: [{ ...poolOf(pool), addresses: [link?.url ?? ''] }] }),
  });
  return { ...all, link: link as Link };
}

const vmOf = (pool: SimulatedPool, index = 0) => pool.vms()[index]?.uuid ?? '';

it('images on when the one address that it was told dies: the pool has named the others', async () => {
  // The session of the step that was at work: its logout went to the address that is dead. xapi ends it after a day.
  const { pool, service, link, request, job } = await toldOneAddress(
    ({ url }) => url,
    ['pool: sessions: was 0, is 1'],
  );
  await service.check();
  const scanning = Promise.withResolvers<void>();
  const dead = Promise.withResolvers<void>();
  const when = () => {
    scanning.resolve();
    return true;
  };
  pool.faults.add({ method: 'SR.scan', times: 1, hold: dead.promise, when });
  const jobId = await request(vmOf(pool));
  await scanning.promise;
  await link.close();
  dead.resolve();
  expect(await job(jobId)).toMatchObject({ status: 'succeeded' });
});

it('finds the pool at its next start though the address is dead by then', async () => {
  const { pool, service, link, restart } = await toldOneAddress(({ url }) => url);
  await service.check();
  await link.close();
  const again = await restart({ pools: [{ ...poolOf(pool), addresses: [link.url] }] });
  await again.check();
  const { hosts } = pool;
  expect((await again.runtime.store.pools.members(POOL_NAME))?.members).toHaveLength(hosts.length);
});

it('learns the members in a round of the janitor too', async () => {
  const { pool, service } = await toldOneAddress(({ memberUrls }) => memberUrls[0] ?? '');
  await service.janitor();
  expect(await service.runtime.store.pools.members(POOL_NAME)).toMatchObject({
    members: [pool.url, ...pool.memberUrls],
    master: pool.url,
  });
});
