import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { readCredentialFile } from '../../bin/files.ts';
import { liveFile } from '../../bin/live-file.ts';
import { type Scenario, scenario } from '../support/scenario.ts';
import { type Account, anAccount, guardedGlanceUrl, revoke, type Watched, watchedKeystone } from './cloud.ts';

/** What a test does at the beginning of a step. */
type AtStep = (step: string) => Promise<unknown>;

/** The pipeline behind a Keystone and a Glance that are real, with a credential in a file that is read anew. */
async function pipeline(): Promise<
  Scenario & {
    readonly account: Account;
    readonly keystone: Watched;
    readonly at: { step: AtStep };
    rotate(): Promise<void>;
    forget(): Promise<void>;
  }
> {
  const account = await anAccount(['member']);
  const keystone = await watchedKeystone();
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-credential-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'credential.json');
  let present = await account.credential();
  await writeFile(file, JSON.stringify(present));
  const at = { step: (async () => {}) as AtStep };
  const credential = await liveFile(file, readCredentialFile);
  const all = await scenario({
    vms: [{ name: 'vm', diskMib: 2 }],
    pool: { vms: 0, gcQuietSeconds: 1e6 },
    service: {
      glance: { url: guardedGlanceUrl, keystone: { url: keystone.url, credential } },
      timings: { coalesceMaxSeconds: 3, uploadRetrySeconds: 1 },
      async aroundStep(step, _jobId, run) {
        await at.step(step);
        return run();
      },
    },
  });
  const forget = () => account.deleteCredential(present);
  return {
    ...all,
    ...{ account, keystone, at, forget },
    async rotate() {
      const next = await account.credential();
      await writeFile(file, JSON.stringify(next));
      await forget();
      present = next;
    },
  };
}

/** Runs once, at the first of these steps. */
function once(name: string, run: () => Promise<unknown>): AtStep {
  let ran = false;
  return async (step) => {
    if (step !== name || ran) return;
    ran = true;
    await run();
  };
}

it.each(['StartUpload', 'VerifyImage'])(
  'goes on with the new credential that is in its file by %s',
  async (step) => {
    const { at, rotate, request, job, leftBehind } = await pipeline();
    at.step = once(step, rotate);
    expect(await job(await request('vm'))).toMatchObject({ status: 'succeeded', uploadAttempts: 1 });
    expect(await leftBehind()).toEqual([]);
  },
);

it('uploads with a second token where the first was revoked before it was used', async () => {
  const { at, keystone, request, job, leftBehind } = await pipeline();
  at.step = once('StartUpload', async () => {
    keystone.onIssue = async (token) => {
      keystone.onIssue = () => {};
      await revoke(token);
    };
  });
  expect(await job(await request('vm'))).toMatchObject({ status: 'succeeded', uploadAttempts: 2 });
  expect(await leftBehind()).toEqual([]);
});

it('gets a new token where all were revoked while it looked at the upload', async () => {
  const { at, keystone, request, job, leftBehind } = await pipeline();
  at.step = once('PollUpload', async () => {
    for (const token of keystone.issued) await revoke(token);
  });
  expect(await job(await request('vm'))).toMatchObject({ status: 'succeeded' });
  expect(await leftBehind()).toEqual([]);
});

it('ends at once, by name, when its credential is deleted, and tidies up once there is another', async () => {
  const { at, forget, rotate, request, job, leftBehind, service } = await pipeline();
  at.step = once('StartUpload', forget);
  const id = await request('vm');
  const failed = await job(id, ({ status }) => status === 'failed');
  expect(failed.error).toMatchObject({
    name: 'KeystoneUnauthorized',
    message: expect.stringMatching(
      /was it deleted, .* Make one that is valid, and put its id and secret in place/,
    ),
  });
  expect(failed.debts).toEqual(new Set(['image']));
  await rotate();
  await service.janitor();
  await job(id);
  expect(await leftBehind()).toEqual([]);
});
