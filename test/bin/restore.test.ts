import { expect, it } from 'vitest';
import type { ImageView } from '../../functions/api/image-view.ts';
import { xensnap } from './command-line.ts';
import { aJobView, anImageView, aRestoreView, IMAGE_ID, JOB_ID, stubApi } from './stub-api.ts';

/** An API that answers one query of GET /images with these, and takes restores. */
function apiOf(query: string, ...images: ImageView[]) {
  return stubApi({
    [`GET /images?limit=100&${query}`]: () => [200, { images, next: null }],
    'POST /restores': () => [202, aRestoreView({ image: { id: IMAGE_ID, name: null } })],
  });
}

it('sends what a restore is to be like', async () => {
  await using api = await apiOf('');
  const options = ['--pool', 'p', '--sr', 'fast', '--name', 'n', '--macs', 'new', '--start'];
  const networks = ['--network', '0=front', '--network', '1=back'];
  const args = ['restore', IMAGE_ID.toUpperCase(), ...options, ...networks, '--api', api.url];
  const { status, stdout } = await xensnap(args);
  expect([status, stdout]).toEqual([
    0,
    `Job ${JOB_ID} has begun: the image ${IMAGE_ID} is restored as a new VM in the pool demo.\nFollow it with: xensnap job ${JOB_ID} --wait\n`,
  ]);
  expect(api.requests).toEqual([
    {
      line: 'POST /restores',
      body: {
        ...{ image: IMAGE_ID, pool: 'p', sr: 'fast', name: 'n', macs: 'new', start: true },
        networks: { '0': 'front', '1': 'back' },
      },
    },
  ]);
});

it('finds an image by its name where only one has it, and names those that there are else', async () => {
  await using one = await apiOf('name=nightly', anImageView());
  const found = await xensnap(['restore', 'nightly', '--disks-only', '--api', one.url]);
  const said = `The image ${IMAGE_ID} "nightly" of web-1, taken 2026-11-19 02:00:13Z, verified\n`;
  expect([found.status, found.stdout]).toEqual([0, expect.stringContaining(said)]);
  expect(one.requests.at(-1)?.body).toEqual({ image: IMAGE_ID, disksOnly: true });

  await using two = await apiOf('name=nightly', anImageView(), anImageView({ id: JOB_ID, verified: false }));
  const { status, stderr } = await xensnap(['restore', 'nightly', '--api', two.url]);
  expect(status).toBe(1);
  expect(stderr).toContain(`2 restore points are named "nightly"`);
  expect(stderr).toContain(`2026-11-19 02:00:13Z ${JOB_ID} (not verified)`);

  await using none = await apiOf('name=nightly');
  expect((await xensnap(['restore', 'nightly', '--api', none.url])).stderr).toBe(
    'xensnap: there is no restore point named "nightly": "xensnap images" lists them, and an image that others made goes by its id\n',
  );
});

const taken = (day: number, fields: Partial<ImageView> = {}) =>
  anImageView({
    id: `00000000-0000-4000-8000-0000000000${day}`,
    // Asked for the day before, and waited.
    createdAt: `2026-11-${day - 1}T23:00:00Z`,
    takenAt: `2026-11-${day}T02:00:00.000Z`,
    ...fields,
  });
const POINTS = [
  taken(21),
  taken(20, { refusal: { name: 'ImageNotRestorable', message: 'It is deactivated.' } }),
  // Which only says that it is of a VM of that name.
  taken(19, { verified: false, vm: { uuid: 'another', name: 'web-1' } }),
  taken(18),
  taken(17),
];

it.each([
  ['', 21],
  ['2026-11-21T03:00', 21],
  ['2026-11-21T02:00Z', 18],
  ['2026-11-21 02:00:00Z', 18],
  ['2026-11-20', 18],
  ['2026-11-18', 17],
])('takes of a VM the newest verified point that can be restored, before %j', async (at, day) => {
  await using api = await apiOf('vm=web-1', ...POINTS);
  const args = ['restore', '--vm', 'web-1', ...(at === '' ? [] : ['--at', at]), '--api', api.url];
  const { stdout } = await xensnap(args, { TZ: 'UTC' });
  const { id } = taken(day);
  expect(stdout.split('\n')[0]).toBe(
    `The image ${id} "nightly" of web-1, taken 2026-11-${day} 02:00:00Z, verified`,
  );
  expect(api.requests.at(-1)?.body).toEqual({ image: id });
});

it('reads a moment without Z by the clock of who types it', async () => {
  await using api = await apiOf('vm=web-1', ...POINTS);
  const args = ['restore', '--vm', 'web-1', '--at', '2026-11-21T02:30', '--api', api.url];
  await xensnap(args, { TZ: 'Europe/Berlin' });
  expect(api.requests.at(-1)?.body).toEqual({ image: taken(18).id });
});

it('names the points that there are where none fits, and refuses to guess between two VMs', async () => {
  await using api = await apiOf('vm=web-1', ...POINTS);
  const early = await xensnap(['restore', '--vm', 'web-1', '--at', '2026-11-17T02:00Z', '--api', api.url]);
  expect(early.status).toBe(1);
  expect(early.stderr).toContain(
    `there is no verified restore point of "web-1" before 2026-11-17 02:00:00Z; there is: 2026-11-21 02:00:00Z ${taken(21).id}, 2026-11-20 02:00:00Z ${taken(20).id} (cannot be restored), 2026-11-19 02:00:00Z ${taken(19).id} (not verified), `,
  );
  const other = { vm: { uuid: 'another', name: 'web-1' } };
  await using twins = await apiOf('vm=web-1', taken(21), taken(20, other));
  const { status, stderr } = await xensnap(['restore', '--vm', 'web-1', '--api', twins.url]);
  expect([status, stderr]).toEqual([1, expect.stringContaining('2 VMs were called "web-1"')]);
  expect(twins.requests).toHaveLength(1);
});

it('refuses to guess which disk is meant where several of a VM were imaged', async () => {
  await using api = await apiOf(
    'vm=web-1',
    taken(21, { device: '1' }),
    taken(20, { device: null }),
    taken(18),
  );
  const ask = (...args: string[]) => xensnap(['restore', '--vm', 'web-1', ...args, '--api', api.url]);
  for (const args of [[], ['--at', '2026-11-20T00:00Z'], ['--into', 'web-1', '--device', '2']]) {
    const { status, stderr } = await ask(...args);
    expect([status, stderr]).toEqual([
      1,
      `xensnap: the restore points of "web-1" are of 2 of its disks: name one by its id; the newest of each is 0: 2026-11-18 02:00:00Z ${taken(18).id}, 1: 2026-11-21 02:00:00Z ${taken(21).id}\n`,
    ]);
  }
  await ask('--into', 'web-1', '--device', '0');
  expect(api.requests.at(-1)?.body).toEqual({ image: taken(18).id, into: 'web-1', device: '0' });
});

it('lists restore points with their age, and what speaks against one', async () => {
  await using api = await stubApi({
    'GET /images?limit=50&vm=web-1&type=daily': () => [
      200,
      {
        images: [
          taken(21, {
            protected: true,
            tested: { at: 'x', seconds: 1, reached: null, failed: 'ImageDamaged' },
          }),
          POINTS[1],
          POINTS[2],
        ],
        next: null,
      },
    ],
  });
  const { stdout } = await xensnap(['images', 'web-1', '--type', 'daily', '--api', api.url]);
  const lines = stdout.trimEnd().split('\n');
  expect(lines[0]).toMatch(
    /^IMAGE +NAME +VM +DEVICE +TYPE +TAKEN +AGE +SIZE +DISK +FORMAT +VERIFIED +TESTED +BUT$/,
  );
  expect(lines[1]).toMatch(
    /daily +2026-11-21 02:00:00Z +\d+ \w+ +1.0 GiB +4.0 GiB +vhd +yes +failed: ImageDamaged +protected$/,
  );
  expect(lines[2]).toMatch(/It is deactivated\.$/);
  expect(lines[3]).toMatch(/no +- +not verified$/);
});

it('shows, follows and cancels a job of either kind by its id', async () => {
  const vm = { uuid: 'made-1', name: 'web-1' };
  const done = aRestoreView({
    ...{ status: 'succeeded', phase: 'ReleaseHost', progress: 100, vm, diskUuid: 'disk-1', macs: 'kept' },
    ...{ finishedAt: '2026-01-01T00:01:05.000Z', bytesWritten: 2 ** 20 },
  });
  await using api = await stubApi({
    [`GET /restores/${JOB_ID}`]: () => [200, done],
    [`GET /restores/${JOB_ID}/events`]: () => [200, { events: [] }],
    [`DELETE /restores/${JOB_ID}`]: () => [202, aRestoreView()],
    'GET /restores?limit=50&status=succeeded': () => [200, { restores: [done], next: null }],
    'GET /snapshots?limit=50': () => [200, { snapshots: [aJobView()], next: null }],
  });
  const ask = (...args: string[]) => xensnap([...args, '--api', api.url]);
  const shown = await ask('job', JOB_ID);
  for (const text of [`${IMAGE_ID} "nightly"`, 'web-1 (made-1)', 'disk-1', 'as they were', '1.0 MiB', '1:05'])
    expect(shown.stdout).toContain(text);
  const waited = await ask('job', JOB_ID, '--wait');
  expect([waited.status, waited.stdout.split('\n')[0]]).toEqual([0, 'succeeded  100 %']);
  expect((await ask('job', JOB_ID, '--events')).status).toBe(0);
  expect((await ask('cancel', JOB_ID)).stdout).toBe(`Job ${JOB_ID} is being cancelled.\n`);
  expect((await ask('restores', '--status', 'succeeded')).stdout).toMatch(
    /succeeded +ReleaseHost +100 +VM +nightly +web-1 +demo/,
  );
  const { status, stderr } = await ask('job', 'nobody');
  expect([status, stderr]).toEqual([1, 'xensnap: no GET /restores/nobody\n']);
});

it('exchanges the disk of a VM that is there, lists what is kept, and exchanges back or destroys it', async () => {
  const vm = { uuid: 'vm-1', name: 'web-1' };
  const into = { device: '0', diskUuid: 'disk-0', shutdown: true, undoneAt: null, keptGoneAt: null };
  const kept = {
    ...{ restore: JOB_ID, pool: 'demo', uuid: 'disk-0', name: '[before the restore of nightly] root' },
    ...{ virtualBytes: 2 ** 30, vmUuid: 'vm-1', device: '0', since: '2026-01-01T00:01:05.000Z' },
  };
  const image = { id: IMAGE_ID, name: null };
  const done = { status: 'succeeded' as const, finishedAt: '2026-01-01T00:01:05.000Z' };
  await using api = await stubApi({
    'POST /restores': () => [202, aRestoreView({ image, vm, into })],
    [`GET /restores/${JOB_ID}`]: () => [200, aRestoreView({ vm, into, ...done })],
    'GET /restores/kept': () => [
      200,
      { kept: [kept], gaps: [{ pool: 'far', name: 'PoolUnreachable', message: 'It is away.' }] },
    ],
    [`POST /restores/${JOB_ID}/undo`]: () => [200, aRestoreView({ vm, into })],
    [`DELETE /restores/${JOB_ID}/kept`]: () => [204, ''],
  });
  const ask = (...args: string[]) => xensnap([...args, '--api', api.url]);
  const asked = await ask('restore', IMAGE_ID, '--into', 'web-1', '--device', '0', '--shutdown');
  expect(asked.stdout).toContain(`the image ${IMAGE_ID} is restored into the VM web-1 of the pool demo.`);
  const wish = { image: IMAGE_ID, into: 'web-1', device: '0', shutdown: true };
  expect(api.requests).toEqual([{ line: 'POST /restores', body: wish }]);
  expect((await ask('job', JOB_ID)).stdout).toContain(
    `disk-0, at position 0 until then; kept: "xensnap restore --undo ${JOB_ID}" exchanges the two\n`,
  );
  expect((await ask('restores', '--kept')).stdout).toMatch(
    /before the restore of nightly\] root +1.0 GiB +demo +vm-1 +0 .*\nThe pool far is left out: It is away\.\n$/,
  );
  expect((await ask('restore', '--undo', JOB_ID)).stdout).toMatch(
    /^web-1 has the disk back that it had before/,
  );
  const mixed = await ask('restore', IMAGE_ID, '--undo', JOB_ID);
  expect([mixed.status, mixed.stderr]).toEqual([2, expect.stringContaining('--undo takes the job alone')]);
  expect((await ask('destroy-kept', JOB_ID)).stdout).toBe(
    `The disk that the restore ${JOB_ID} has kept is gone.\n`,
  );
});

it('names the VM of which nothing is listed, so that a slip of the pen shows', async () => {
  await using api = await stubApi({
    'GET /images?limit=50&vm=wbe-1': () => [200, { images: [], next: null }],
    'GET /images?limit=50': () => [200, { images: [], next: null }],
    'GET /snapshots?limit=50&vm=wbe-1': () => [200, { snapshots: [], next: null }],
  });
  const ask = async (...args: string[]) => (await xensnap([...args, '--api', api.url])).stdout;
  expect(await ask('images', 'wbe-1')).toBe('No restore points of "wbe-1".\n');
  expect(await ask('images')).toBe('No restore points.\n');
  expect(await ask('jobs', '--vm', 'wbe-1')).toBe('No snapshots of "wbe-1".\n');
});
