import { expect, it } from 'vitest';
import type { ScheduleView } from '../../functions/api/schedule-view.ts';
import { xensnap } from './command-line.ts';
import { stubApi } from './stub-api.ts';

const ID = '7d0c6a0e-3c42-4c55-9a52-0d5f0f6f5c11';
const PATH = `/schedules/${ID}`;

function aView(fields: Partial<ScheduleView> = {}): ScheduleView {
  return {
    ...{ id: ID, name: null, selector: null, timeZone: 'Europe/Berlin', flexibleMinutes: 120, keep: 7 },
    vm: { pool: 'demo', uuid: 'uuid-1', name: 'web-1' },
    daily: { window: 'H_0400_0600' },
    ...{ backupType: 'daily', quiesce: 'never', format: 'vhd', device: null, flatten: false },
    ...{ restoreTest: null, nextTest: null },
    ...{ enabled: true, disabledReason: null, requestedBy: 'jwt:anna', changedBy: 'jwt:bert' },
    nextRuns: ['2026-05-05T02:00:00.000Z'],
    ...{ createdAt: '2026-05-01T00:00:00.000Z', updatedAt: '2026-05-02T00:00:00.000Z' },
    ...fields,
  };
}

it.each<[string[], object]>([
  [
    ['web-1', '--daily', '04:30', '--keep', '7', '--time-zone', 'Europe/Berlin'],
    { vm: 'web-1', daily: { at: '04:30' }, keep: 7, timeZone: 'Europe/Berlin' },
  ],
  [
    ['--tag', 'prod', '--pool', 'p', '--weekly', 'sunday h_0400_0600', '--keep', '4', '--disabled'],
    {
      selector: { tag: 'prod', pool: 'p' },
      weekly: { day: 'SUNDAY', window: 'H_0400_0600' },
      keep: 4,
      enabled: false,
    },
  ],
  [
    [
      'web-1',
      '--rate',
      '6 hours',
      '--type',
      'often',
      '--keep',
      '2',
      '--flexible-minutes',
      '30',
      '--format',
      'raw',
    ],
    { vm: 'web-1', rate: '6 hours', backupType: 'often', keep: 2, flexibleMinutes: 30, format: 'raw' },
  ],
  [
    ['web-1', '--daily', '04:30', '--keep', '7', '--device', '1', '--flatten'],
    { vm: 'web-1', daily: { at: '04:30' }, keep: 7, device: '1', flatten: true },
  ],
  [
    ['--tag', 'prod', '--daily', '04:30', '--keep', '7', '--restore-test', 'weekly', '--restore-test-boot'],
    {
      selector: { tag: 'prod' },
      daily: { at: '04:30' },
      keep: 7,
      restoreTest: { every: 'weekly', boot: true },
    },
  ],
])('sends what a schedule is to be like: %j', async (options, body) => {
  await using api = await stubApi({ 'POST /schedules': () => [201, aView()] });
  const { status, stdout, stderr } = await xensnap(['schedule', 'add', ...options, '--api', api.url]);
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toContain('daily H_0400_0600 Europe/Berlin');
  expect(stdout).toMatch(/^Made by +jwt:anna\nChanged by +jwt:bert$/m);
  expect(api.requests).toEqual([{ line: 'POST /schedules', body }]);
});

it.each<[string[], object]>([
  [['disable'], { enabled: false, daily: { window: 'H_0400_0600' }, flexibleMinutes: 120 }],
  [
    ['change', '--keep', '14'],
    { enabled: true, keep: 14, daily: { window: 'H_0400_0600' }, flexibleMinutes: 120 },
  ],
  [['change', '--cron', '0 2 * * ? *'], { enabled: true, cron: '0 2 * * ? *' }],
  [
    ['change', '--restore-test', 'never'],
    { enabled: true, daily: { window: 'H_0400_0600' }, flexibleMinutes: 120, restoreTest: null },
  ],
])('changes what is said and keeps the rest: %j', async ([command = '', ...options], changed) => {
  await using api = await stubApi({
    [`GET ${PATH}`]: () => [200, aView()],
    [`PUT ${PATH}`]: () => [200, aView()],
  });
  const { status, stderr } = await xensnap(['schedule', command, ID, ...options, '--api', api.url]);
  expect([status, stderr]).toEqual([0, '']);
  const rest = {
    vm: 'uuid-1',
    pool: 'demo',
    timeZone: 'Europe/Berlin',
    backupType: 'daily',
    quiesce: 'never',
    format: 'vhd',
    flatten: false,
    keep: 7,
  };
  expect(api.requests.at(-1)).toEqual({ line: `PUT ${PATH}`, body: { ...rest, ...changed } });
});

it.each<[Partial<ScheduleView>, string[], object]>([
  [{ selector: { tag: 'prod' } }, ['--pool', 'p'], { selector: { tag: 'prod', pool: 'p' } }],
  [
    { selector: { tag: 'prod', namePattern: 'web-*' } },
    ['--tag', 'test'],
    { selector: { tag: 'test', namePattern: 'web-*' } },
  ],
  [{ vm: { pool: 'demo', uuid: 'uuid-1', name: 'web-1' } }, ['--tag', 'prod'], { selector: { tag: 'prod' } }],
])(
  'changes which VMs a schedule is of, and keeps what is not said of them: %j %j',
  async (of, options, target) => {
    await using api = await stubApi({
      [`GET ${PATH}`]: () => [200, aView({ vm: null, ...of })],
      [`PUT ${PATH}`]: () => [200, aView()],
    });
    const { status } = await xensnap(['schedule', 'change', ID, ...options, '--api', api.url]);
    expect(status).toBe(0);
    const { vm, pool, selector } = (api.requests.at(-1)?.body ?? {}) as Record<string, unknown>;
    expect({ vm, pool, selector }).toEqual({ vm: undefined, pool: undefined, ...target });
  },
);

it('makes no schedule of a whole pool out of one of a VM, and changes nothing where nothing is said', async () => {
  await using api = await stubApi({ [`GET ${PATH}`]: () => [200, aView()] });
  const pool = await xensnap(['schedule', 'change', ID, '--pool', 'demo', '--api', api.url]);
  expect([pool.status, pool.stderr]).toEqual([
    2,
    expect.stringContaining('the schedule is of one VM, web-1'),
  ]);
  const nothing = await xensnap(['schedule', 'change', ID, '--api', api.url]);
  expect([nothing.status, nothing.stderr]).toEqual([2, expect.stringContaining('say what is to be changed')]);
  expect(api.requests.map(({ line }) => line)).toEqual([`GET ${PATH}`]);
});

it('lists, removes and says what a rotation would delete', async () => {
  await using api = await stubApi({
    'GET /schedules?limit=100': () => [200, { schedules: [aView()], next: 'm' }],
    'GET /schedules?limit=100&marker=m': () => [200, { schedules: [aView({ enabled: false })], next: null }],
    [`DELETE ${PATH}`]: () => [204, ''],
    [`GET ${PATH}/retention`]: () => [
      200,
      {
        ...{ keep: 1, backupType: 'daily', unasked: [] },
        vms: [
          {
            name: 'web-1',
            images: [
              { id: 'image-1', verifiedAt: null, sizeBytes: 1024, action: 'delete', why: 'only 1 stay' },
            ],
          },
        ],
      },
    ],
  });
  const at = ['--api', api.url];
  const list = await xensnap(['schedule', 'list', ...at]);
  expect(list.stdout.match(new RegExp(ID, 'g'))).toHaveLength(2);
  expect(list.stdout).toMatch(/disabled$/m);
  expect(await xensnap(['schedule', 'remove', ID, ...at])).toMatchObject({ status: 0 });
  const retention = await xensnap(['retention', ID, '--dry-run', ...at]);
  expect(retention.stdout).toMatch(/image-1 .*delete +only 1 stay/);
});

it('says of a retention in pages which pools were away on any of them', async () => {
  const page = (more: object) => () =>
    [200, { keep: 1, backupType: 'daily', vms: [], ...more }] as [number, object];
  const away = { pool: 'b', reason: { name: 'XapiBusy', message: 'slow' } };
  await using api = await stubApi({
    [`GET ${PATH}/retention`]: page({ unasked: [], next: 'm' }),
    [`GET ${PATH}/retention?marker=m`]: page({ unasked: [away], next: 'n' }),
    [`GET ${PATH}/retention?marker=n`]: page({ unasked: [away], next: null }),
  });
  const { stdout } = await xensnap(['retention', ID, '--api', api.url]);
  expect(stdout.match(/^b: slow$/gm)).toHaveLength(1);
});
