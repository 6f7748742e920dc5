import { expect, it } from 'vitest';
import { tidy } from '../../../functions/janitor.ts';
import { serveApi } from './served-api.ts';

it('runs the janitor as it is told', async () => {
  const runs: boolean[] = [];
  await using api = await serveApi({
    pool: { vms: 0 },
    api: {
      janitor: (dryRun) => {
        runs.push(dryRun);
        return tidy(api.runtime, { dryRun });
      },
    },
  });
  const { status, body } = await api.ask('POST', '/janitor', { dryRun: true });
  expect([status, body.dryRun, body.findings]).toEqual([200, true, []]);
  expect((await api.ask('POST', '/janitor', {})).body.dryRun).toBe(false);
  expect(runs).toEqual([true, false]);
  expect((await api.ask('POST', '/janitor', { dryRun: 'no' })).status).toBe(400);
});

it('answers 501 where this API does not run it', async () => {
  await using api = await serveApi({ pool: { vms: 0 } });
  const { status, body } = await api.ask('POST', '/janitor', { dryRun: true });
  expect([status, body.error.name]).toEqual([501, 'NotImplemented']);
});
