import { stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { SnapshotJob } from '../../functions/job.ts';
import type { VmSpec } from '../../local/pool/pool.ts';
import { downloadBundle } from '../support/bundle.ts';
import { type Scenario, type ScenarioOptions, scenario } from '../support/scenario.ts';
import { readChain } from '../support/vhd-reader.ts';

// More than the sockets between plugin and Glance can hold, so that the plugin cannot be through with it.
const big: VmSpec = { name: 'big', diskMib: 64, dataMib: 24, baseCopies: 1 };
const upload = { method: 'PUT', path: /\/file$/ };

const quiet: ScenarioOptions = {
  vms: [big],
  pool: { vms: 0, keepModels: true, gcQuietSeconds: 1e6 },
  service: { timings: { coalesceMaxSeconds: 3 } },
};

/** Touches the base copy in the middle of the next so many uploads, as the coalescer does that writes into it. */
function disturb(at: Scenario, times: number): void {
  const touched = Array.from({ length: times }, () => Promise.withResolvers<void>());
  for (const { promise } of touched) at.glance.faults.add({ ...upload, afterBytes: 1, hold: promise });
  at.glance.onUpload(({ event, imageId }) => {
    const next = event === 'started' && touched.shift();
    if (next) void touchBase(at, imageId).then(next.resolve, next.reject);
  });
}

async function touchBase({ pool, job }: Scenario, jobId: string): Promise<void> {
  const { snapshotDisks: [leaf] = [], srUuid } = await job(jobId, () => true);
  const folder = pool.srs.find(({ uuid }) => uuid === srUuid)?.folder ?? '';
  const record = Object.values(pool.records('VDI')).find(({ uuid }) => uuid === leaf);
  const config = record?.sm_config as Record<string, string> | undefined;
  const path = join(folder, `${config?.['vhd-parent']}.vhd`);
  const { atime, mtime } = await stat(path);
  await utimes(path, atime, new Date(mtime.getTime() + 1000));
}

async function holdsTheDisk(
  { pool, glance, folder }: Scenario,
  { id, snapshotDisks: [leaf = ''] = [] }: SnapshotJob,
) {
  const { vhds } = await downloadBundle(glance.url, id, join(folder, id));
  return (await (await readChain(vhds)).compareWith(pool.modelPath(leaf))) === null;
}

it.each([
  { times: 1, force: false, source: 'chain' },
  { times: 2, force: false, source: 'export' },
  { times: 2, force: true, source: 'export' },
])('holds the disk although its chain changes $times times under the upload (force: $force)', async (how) => {
  const { times, force, source } = how;
  const states: string[] = [];
  const at = await scenario({
    ...quiet,
    service: { ...quiet.service, onState: (_job, state) => states.push(state) },
  });
  disturb(at, times);
  const done = await at.job(await at.request('big', { force }));
  expect(done.error).toBeUndefined();
  expect(done).toMatchObject({ status: 'succeeded', chainChanges: times, uploadAttempts: times + 1 });
  expect(done.uploadSource).toBe(source);
  expect(done.warnings ?? []).toHaveLength(source === 'export' ? 1 : 0);
  // Each change is followed by another wait for the coalescer.
  const waits = states.filter(
    (state, index) => state === 'AwaitCoalesce' && states[index - 1] !== 'WaitForCoalesce',
  );
  expect(waits).toHaveLength(times + 1);
  expect(await holdsTheDisk(at, done)).toBe(true);
});

it('has all its tries left for Glance after the chain has changed twice', async () => {
  const at = await scenario(quiet);
  disturb(at, 2);
  at.glance.faults.add({ ...upload, drop: 'during', afterBytes: 1000, times: 2 });
  const done = await at.job(await at.request('big'));
  expect(done).toMatchObject({ status: 'succeeded', chainChanges: 2, uploadAttempts: 5 });
  expect(await holdsTheDisk(at, done)).toBe(true);
});
