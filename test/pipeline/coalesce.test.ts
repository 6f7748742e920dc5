import { expect, it } from 'vitest';
import type { VmSpec } from '../../local/pool/pool.ts';
import { scenario } from '../support/scenario.ts';

/** A chain that the coalescer would merge, if it came. */
const deep: VmSpec = { name: 'deep', diskMib: 4, dataMib: 1, baseCopies: 3 };
const withoutCoalescer = { vms: 0, gcQuietSeconds: 1e6 };
const brokenVhd = {
  method: 'SR.scan',
  code: 'SR_BACKEND_FAILURE_40',
  params: ['', 'The SR scan failed  [opterr=uuid=1: hidden: error]', ''],
};

it('images a VM on an SR whose scans fail, within the wait for its coalescer, and says what the scan said', async () => {
  const { pool, request, job } = await scenario({
    vms: [deep],
    pool: withoutCoalescer,
    service: { timings: { coalesceMaxSeconds: 20 } },
  });
  pool.faults.add(brokenVhd);
  const done = await job(await request('deep'));
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(done.warnings).toEqual([expect.stringMatching(/could not be scanned.*SR_BACKEND_FAILURE_40/)]);
  expect(pool.calls.filter(({ method }) => method === 'SR.scan')).toHaveLength(1);
});

it('does not scan at all when it is told not to wait', async () => {
  const { pool, request, job } = await scenario({ vms: [deep], pool: withoutCoalescer });
  pool.faults.add(brokenVhd);
  const done = await job(await request('deep', { force: true }));
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(done.warnings).toBeUndefined();
  expect(pool.calls.filter(({ method }) => method === 'SR.scan')).toEqual([]);
});

it('scans once a minute at most, and looks at the records of the chain in between', async () => {
  const { pool, request, job } = await scenario({
    vms: [deep],
    pool: withoutCoalescer,
    service: { timings: { coalescePollSeconds: 2, coalesceMaxSeconds: 90 } },
    speed: 20,
  });
  const done = await job(await request('deep'));
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(pool.calls.filter(({ method }) => method === 'SR.scan')).toHaveLength(2);
  const ofWholeSr = pool.calls.filter(
    ({ method, args }) => method === 'VDI.get_all_records_where' && String(args).includes('field "SR"'),
  );
  expect(ofWholeSr).toHaveLength(2);
});

it('goes on when the answer to a scan is lost', async () => {
  const { pool, request, job } = await scenario({
    vms: [deep],
    pool: withoutCoalescer,
    service: { timings: { coalesceMaxSeconds: 20 } },
  });
  pool.faults.add({ method: 'SR.scan', drop: 'after' });
  const done = await job(await request('deep'));
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(done.warnings).toEqual([expect.stringContaining('could not be scanned')]);
});
