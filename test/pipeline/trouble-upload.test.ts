import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { VmSpec } from '../../local/pool/pool.ts';
import { type Scenario, type ScenarioOptions, scenario } from '../support/scenario.ts';

const vm: VmSpec = { name: 'deep', diskMib: 4, dataMib: 2, baseCopies: 1 };
/** Nothing changes by itself, and another try comes soon. */
const still: ScenarioOptions = {
  vms: [vm],
  pool: { vms: 0, gcQuietSeconds: 1e6 },
  service: { timings: { coalesceMaxSeconds: 3, uploadRetrySeconds: 1 } },
};
const upload = { method: 'PUT', path: /\/file$/ };

/** What the plugin wrote down of a job. */
async function pluginState({ pool }: Scenario, jobId: string) {
  for (const { dom0Root } of pool.hosts)
    try {
      return JSON.parse(await readFile(join(dom0Root, `var/run/xensnap/${jobId}.json`), 'utf8'));
    } catch {
      // not that host
    }
  return undefined;
}

/** Images the VM once; answers how large the image is. Its image is deleted again. */
async function sizeOfImage({ service, request, job }: Scenario): Promise<number> {
  const done = await job(await request('deep'));
  expect(done.error).toBeUndefined();
  await service.runtime.glance.deleteImage(done.id);
  return done.imageBytes ?? 0;
}

it('uploads again when Glance drops the connection at 10 %, at 99 % or before its last answer', async () => {
  const at = await scenario({ ...still, glance: { token: 'a-planted-token' } });
  const { glance, request, job, leftBehind } = at;
  const bytes = await sizeOfImage(at);
  expect(bytes).toBeGreaterThan(1 << 20);
  for (const [fault, attempts] of [
    [{ drop: 'during', afterBytes: Math.floor(bytes * 0.1) }, 2],
    [{ drop: 'during', afterBytes: Math.floor(bytes * 0.99) }, 2],
    [{ drop: 'after' }, 1],
  ] as const) {
    glance.faults.add({ ...upload, ...fault });
    const done = await job(await request('deep'));
    expect(done.error).toBeUndefined();
    expect(done).toMatchObject({ status: 'succeeded', uploadAttempts: attempts });
    expect(glance.faults.pending()).toBe(0);
    expect(glance.images().find(({ id }) => id === done.id)).toMatchObject({
      status: 'active',
      os_hash_value: done.sha512,
    });
    expect(await leftBehind()).toEqual([]);
  }
});

it('verifies an image itself when the token has expired by the end of the upload', async () => {
  const at = await scenario({ ...still, glance: { token: 'a-planted-token' } });
  const { glance, request, job } = at;
  // The plugin's look at the record comes next.
  glance.onUpload(({ event }) => {
    if (event === 'ended') glance.faults.add({ method: 'GET', path: /\/v2\/images\/[^/]+$/, status: 401 });
  });
  const done = await job(await request('deep'));
  expect(done).toMatchObject({ status: 'succeeded', uploadAttempts: 1 });
  expect(glance.faults.pending()).toBe(0);
  expect(await pluginState(at, done.id)).toMatchObject({ result: { glance: 'unchecked' } });
  expect(glance.images()).toMatchObject([{ id: done.id, status: 'active', os_hash_value: done.sha512 }]);
});

it('fails with GlanceTooLarge when the quota turns out to be used up after the last byte', async () => {
  const at = await scenario({ ...still, glance: { quotaBytes: 1_000_000, token: 'a-planted-token' } });
  const { glance, request, job } = at;
  const done = await job(await request('deep'));
  expect(done).toMatchObject({ status: 'failed', error: { name: 'GlanceTooLarge' }, uploadAttempts: 1 });
  const state = await pluginState(at, done.id);
  expect(state).toMatchObject({ state: 'failed', error: { code: 'IMAGE_TOO_LARGE', retryable: false } });
  expect(state.bytesRead).toBe(state.bytesTotal);
  expect(glance.images()).toEqual([]);
});

describe('a job fails, and nothing is left behind,', () => {
  const spoilt: [string, string, (leaf: string, base: string) => Promise<() => Promise<void>>][] = [
    ['when a VHD has a bad header', 'VHD_INVALID', (leaf) => flip(leaf, 600)],
    ['when the header of a parent is bad', 'VHD_INVALID', (_leaf, base) => flip(base, 600)],
    ['when a parent is missing', 'VHD_PARENT_MISSING', (_leaf, base) => hide(base)],
    ['when the disk itself is missing', 'VHD_MISSING', (leaf) => hide(leaf)],
  ];

  it.each(spoilt)('%s', async (_, code, spoil) => {
    const mend = Promise.withResolvers<() => Promise<void>>();
    const at = await scenario({
      ...still,
      service: {
        ...still.service,
        async aroundStep(step, jobId, run) {
          if (step === 'StartUpload') {
            const { snapshotDisks: [leaf] = [], srUuid } = await at.job(jobId, () => true);
            const folder = at.pool.srs.find(({ uuid }) => uuid === srUuid)?.folder ?? '';
            const base = Object.values(at.pool.records('VDI')).find(({ uuid }) => uuid === leaf)?.sm_config;
            const parent = (base as Record<string, string>)['vhd-parent'];
            mend.resolve(await spoil(join(folder, `${leaf}.vhd`), join(folder, `${parent}.vhd`)));
          }
          if (step === 'CancelUpload') await (await mend.promise)();
          return run();
        },
      },
    });
    const { glance, request, job } = at;
    const done = await job(await request('deep'));
    expect(done).toMatchObject({ status: 'failed', error: { name: 'UploadFailed' }, uploadAttempts: 1 });
    expect(done.error?.message).toMatch(new RegExp(`\\(${code}\\)$`));
    expect(glance.images()).toEqual([]);
  });
});

/** Flips a byte, counted from the end where it is negative; answers what flips it back. */
async function flip(path: string, offset: number): Promise<() => Promise<void>> {
  const change = async () => {
    await using file = await open(path, 'r+');
    const { size } = await file.stat();
    const byte = Buffer.alloc(1);
    const at = offset < 0 ? size + offset : offset;
    await file.read(byte, 0, 1, at);
    byte[0] = (byte[0] ?? 0) ^ 0xff;
    await file.write(byte, 0, 1, at);
  };
  await change();
  return change;
}

async function hide(path: string): Promise<() => Promise<void>> {
  await rename(path, `${path}.away`);
  return () => rename(`${path}.away`, path);
}

it('goes on when xapi restarts in the middle of an upload: its task is gone, the plugin’s status is the truth', async () => {
  const restarted = Promise.withResolvers<void>();
  const at = await scenario({ ...still, glance: { token: 'a-planted-token' } });
  const { pool, glance, request, job } = at;
  glance.faults.add({ ...upload, afterBytes: 500_000, hold: restarted.promise });
  const begun = new Promise<void>((resolve) => {
    const stop = glance.onUpload(({ bytes }) => {
      if (bytes < 400_000) return;
      stop();
      resolve();
    });
  });
  const id = await request('deep');
  await begun;
  const { uploadTask } = await job(id, (now) => now.uploadTask !== undefined);
  await pool.restartXapi();
  expect(pool.records('task')).not.toHaveProperty([uploadTask ?? '']);
  restarted.resolve();
  const done = await job(id);
  expect(done).toMatchObject({ status: 'succeeded', uploadAttempts: 1 });
  expect(glance.images()).toMatchObject([{ id, status: 'active', os_hash_value: done.sha512 }]);
});

it('leaves nothing when it is cancelled in the very middle of the upload', async () => {
  const at = await scenario({ ...still, glance: { token: 'a-planted-token' } });
  const { glance, ask, request, job } = at;
  const half = Math.floor((await sizeOfImage(at)) / 2);
  const never = Promise.withResolvers<void>();
  glance.faults.add({ ...upload, afterBytes: half, hold: never.promise });
  const halfWay = new Promise<void>((resolve) => {
    glance.onUpload(({ bytes }) => {
      if (bytes > half - (1 << 18)) resolve();
    });
  });
  const id = await request('deep');
  await halfWay;
  await job(id, ({ phase }) => phase === 'PollUpload');
  expect((await ask('DELETE', `/snapshots/${id}`)).status).toBe(202);
  expect(await job(id)).toMatchObject({ status: 'cancelled', error: { name: 'JobCancelled' } });
  expect(await pluginState(at, id)).toMatchObject({ state: 'cancelled', error: { code: 'CANCELLED' } });
  expect(glance.images()).toEqual([]);
});
