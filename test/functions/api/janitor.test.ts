import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { tidy } from '../../../functions/janitor.ts';
import { serveApi } from './served-api.ts';

it('runs the janitor as it is told', async () => {
  const runs: boolean[] = [];
  await using api = await serveApi({
    pool: { vms: 0 },
    api: {
      janitor: (dryRun, actor) => {
        runs.push(dryRun);
        return tidy(api.runtime, { dryRun, actor });
      },
    },
  });
  const { status, body } = await api.ask('POST', '/janitor', { dryRun: true });
  expect([status, body.dryRun, body.findings]).toEqual([200, true, []]);
  expect((await api.ask('POST', '/janitor', {})).body.dryRun).toBe(false);
  expect(runs).toEqual([true, false]);
  expect((await api.ask('GET', '/janitor')).body.requestedBy).toBe('local');
  await tidy(api.runtime);
  expect((await api.ask('GET', '/janitor')).body.requestedBy).toBeNull();
  expect((await api.ask('POST', '/janitor', { dryRun: 'no' })).status).toBe(400);
});

it('answers 501 where this API does not run it', async () => {
  await using api = await serveApi({ pool: { vms: 0 } });
  const { status, body } = await api.ask('POST', '/janitor', { dryRun: true });
  expect([status, body.error.name]).toEqual([501, 'NotImplemented']);
});

it('tells what the last round found, whoever ran it, and 404 before the first', async () => {
  await using api = await serveApi({ pool: { vms: 0 } });
  const { status, body } = await api.ask('GET', '/janitor');
  expect([status, body.error.name]).toEqual([404, 'NotFound']);
  const image = await api.runtime.glance.createImage({
    id: randomUUID(),
    name: 'left',
    diskFormat: 'vhd',
    containerFormat: 'ovf',
    visibility: 'private',
    properties: { xensnap_installation: 'test' },
  });
  const { findings } = await tidy(api.runtime, { dryRun: true });
  expect(findings).toMatchObject([{ kind: 'image', id: image.id, action: 'would' }]);
  expect((await api.ask('GET', '/janitor')).body).toMatchObject({ dryRun: true, findings, omitted: 0 });
  await tidy(api.runtime);
  const last = await api.ask('GET', '/janitor');
  expect(last).toMatchObject({
    status: 200,
    body: { dryRun: false, findings: [{ id: image.id, action: 'removed' }] },
  });
  await tidy(api.runtime);
  expect((await api.ask('GET', '/janitor')).body.findings).toEqual([]);
});
