import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { impatientPlugin } from '../support/impatient-plugin.ts';
import { startLink } from '../support/link.ts';
import { askRestore, holdsExactly, restored, takeAway } from '../support/restoring.ts';
import { scenario } from '../support/scenario.ts';
import { limits, openBench } from './contract/target.ts';

const limitedUrl = process.env.XENSNAP_GLANCE_LIMITED_URL ?? '';
const SERVER = fileURLToPath(new URL('server.sh', import.meta.url));
const run = promisify(execFile);

/** A real Glance of the test's own, that can be killed and started again on the same files. */
async function ownGlance() {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-glance-'));
  onTestFinished(async () => {
    await run(SERVER, ['stop', folder]);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  const start = async (port = '0') =>
    (await run(SERVER, ['start', folder], { env: { ...process.env, GLANCE_PORT: port } })).stdout.trim();
  const url = await start();
  return {
    url,
    async kill() {
      process.kill(Number(await readFile(join(folder, 'pid'), 'utf8')), 'SIGKILL');
    },
    startAgain: () => start(new URL(url).port),
    async statusOf(id: string): Promise<unknown> {
      const response = await fetch(`${url}/v2/images/${id}`);
      return response.ok ? ((await response.json()) as { status: unknown }).status : response.status;
    },
  };
}

it('fails, and leaves no image, when a real Glance is killed in the middle and the image sticks in saving', async () => {
  const glance = await ownGlance();
  const link = await startLink(glance.url, { effect: 'hold', times: 1, afterBytes: 500_000 });
  onTestFinished(() => link.close());
  const back = Promise.withResolvers<void>();
  const secondTry = Promise.withResolvers<void>();
  let tries = 0;
  const { request, job, leftBehind } = await scenario({
    // Glance takes its time to start again, and a step may wait for it no longer than it may run.
    speed: 1,
    vms: [{ name: 'deep', diskMib: 8, dataMib: 4 }],
    pool: { vms: 0, pluginFile: await impatientPlugin('SAVING_SECONDS', 6) },
    service: {
      glance: { url: link.url },
      timings: { coalesceMaxSeconds: 3, uploadRetrySeconds: 1 },
      async aroundStep(step, _jobId, go) {
        if (step === 'StartUpload' && ++tries > 1) {
          secondTry.resolve();
          await back.promise;
        }
        return go();
      },
    },
  });
  const id = await request('deep');
  await link.struck;
  await expect.poll(() => glance.statusOf(id)).toBe('saving');
  await glance.kill();
  await secondTry.promise;
  await glance.startAgain();
  expect(await glance.statusOf(id)).toBe('saving');
  back.resolve();
  const done = await job(id);
  expect(done).toMatchObject({ status: 'failed', error: { name: 'GlanceConflict' }, uploadAttempts: 2 });
  expect(done.error?.message).toMatch(/the image is saving, not queued \(IMAGE_NOT_QUEUED\)$/);
  expect(await glance.statusOf(id)).toBe(404);
  expect(await leftBehind()).toEqual([]);
}, 300_000);

it('restores although a real Glance is killed in the middle of the download, once it comes back', async () => {
  const glance = await ownGlance();
  const link = await startLink(glance.url, {
    effect: 'cut',
    times: 1,
    afterBytes: 500_000,
    direction: 'down',
  });
  onTestFinished(() => link.close());
  const { pool, service, request, job, leftBehind } = await scenario({
    speed: 1,
    vms: [{ name: 'deep', diskMib: 8, dataMib: 4 }],
    pool: { vms: 0, keepModels: true },
    service: { glance: { url: link.url }, timings: { coalesceMaxSeconds: 3, uploadRetrySeconds: 1 } },
  });
  const taken = await job(await request('deep'));
  const id = await askRestore(service, taken.id);
  await link.struck;
  await glance.kill();
  // It starts for seconds, in which the plugin asks in vain.
  await glance.startAgain();
  const done = await restored(service, id);
  expect(done.error).toBeUndefined();
  expect(done).toMatchObject({ status: 'succeeded', bytesRead: taken.imageBytes });
  const then = await readFile(pool.modelPath(taken.snapshotDisks?.[0] ?? ''));
  expect(await holdsExactly(pool, done, then)).toBe(true);
  await takeAway(service, done);
  expect(await leftBehind()).toEqual([]);
}, 300_000);

it('fails, and leaves no image, when a real Glance finds its quota used up after the last byte', async () => {
  const bench = openBench(limitedUrl);
  onTestFinished(() => bench.clear());
  const { id: first } = await bench.anImage();
  const filled = await fetch(`${limitedUrl}/v2/images/${first}/file`, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: Buffer.alloc(limits.sizeCapBytes),
  });
  expect(filled.status).toBe(204);
  const { request, job, leftBehind } = await scenario({
    vms: [{ name: 'small', diskMib: 4, dataMib: 0.75 }],
    pool: { vms: 0 },
    service: { glance: { url: limitedUrl }, timings: { coalesceMaxSeconds: 3, uploadRetrySeconds: 1 } },
  });
  const done = await job(await request('small'));
  expect(done).toMatchObject({ status: 'failed', error: { name: 'GlanceTooLarge' }, uploadAttempts: 1 });
  expect(done.error?.message).toMatch(/quota.*\(IMAGE_TOO_LARGE\)$/);
  expect(await bench.glance.getImage(done.id)).toBeUndefined();
  expect(await leftBehind()).toEqual([]);
});
