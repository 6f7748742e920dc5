import { expect, it } from 'vitest';
import type { RestoreView } from '../../functions/api/restore-view.ts';
import { xensnap } from '../bin/command-line.ts';
import { restored, takeAway } from '../support/restoring.ts';
import { scenario } from '../support/scenario.ts';

it('brings a VM back by the API and by the command line, and tells of it as it goes', async () => {
  const at = await scenario({ pool: { vms: 1, diskMib: 4 } });
  const { service, pool, ask } = at;
  const image = await at.request('web-1', { name: 'before-upgrade' });
  await at.job(image);
  const points = (await ask('GET', '/images?vm=web-1')).body.images;
  expect(points).toMatchObject([{ id: image, name: 'before-upgrade', verified: true, refusal: null }]);
  expect(Date.parse(points[0].takenAt)).toBeGreaterThanOrEqual(Date.parse(points[0].createdAt));

  const { status, body } = await ask('POST', '/restores', { image, name: 'by-api' });
  expect(status).toBe(202);
  const byApi = await restored(service, body.id);
  const view: RestoreView = (await ask('GET', `/restores/${body.id}`)).body;
  const { host } = (await ask('GET', `/snapshots/${image}`)).body;
  expect(view).toMatchObject({
    ...{ status: 'succeeded', progress: 100, pool: 'demo', host, error: null, owes: [], owing: null },
    image: { id: image, name: 'before-upgrade' },
    vm: { uuid: byApi.restoredVmUuid, name: 'by-api' },
    ...{ diskUuid: byApi.diskUuid, sr: byApi.srUuid, macs: 'new', virtualBytes: 4 * 2 ** 20 },
    warnings: ['The VM has new MAC addresses: another VM has those that it had.'],
  });
  expect(view.bytesRead).toBe(view.bytesTotal);
  expect(view.bytesWritten).toBeGreaterThan(0);
  expect(view.cost?.usd).toBeGreaterThan(0);
  const { events } = (await ask('GET', `/restores/${body.id}/events`)).body;
  expect(events.map(({ state }: { state: string }) => state)).toEqual(
    expect.arrayContaining(['Requested', 'InspectImage', 'PollDownload', 'CreateVm', 'Finished']),
  );

  const wait = ['--wait', '--auth', 'bearer', '--api', service.apiUrl];
  const command = await xensnap(
    ['restore', '--vm', 'web-1', '--name', 'by-command', '--macs', 'keep', ...wait],
    { XENSNAP_TOKEN: service.token ?? '' },
  );
  expect([command.status, command.stderr]).toEqual([0, '']);
  expect(command.stdout).toMatch(
    /^The image \S+ "before-upgrade" of web-1, taken .*, verified\nJob \S+: the image \S+ is restored as a new VM in the pool demo\n/,
  );
  const [newest, ...others] = (await ask('GET', '/restores')).body.restores;
  expect(others.map(({ id }: RestoreView) => id)).toEqual([body.id]);
  expect(command.stdout).toContain(`by-command (${newest.vm.uuid})`);
  const test = await xensnap(['restore', 'before-upgrade', '--test', '--boot', ...wait], {
    XENSNAP_TOKEN: service.token ?? '',
  });
  expect([test.status, test.stderr]).toEqual([0, '']);
  expect(test.stdout).toMatch(/^Job \S+: a test of restoring the image \S+ in the pool demo$/m);
  expect((await ask('GET', '/images')).body.images).toMatchObject([
    { id: image, tested: { reached: 'tools', failed: null } },
  ]);
  const [tested] = (await ask('GET', '/restores')).body.restores;
  expect(tested).toMatchObject({ test: true, reached: 'tools', vm: null, diskUuid: null });

  const names = (await pool.inventory()).vms.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(['web-1', 'by-api', 'by-command']));
  for (const id of [body.id, newest.id]) await takeAway(service, await restored(service, id));
});
