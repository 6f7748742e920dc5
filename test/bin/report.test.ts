import { expect, it } from 'vitest';
import type { ReportView } from '../../functions/api/report-view.ts';
import { xensnap } from './command-line.ts';
import { stubApi } from './stub-api.ts';

const NOTHING = {
  ...{ ok: true, failed: 0, missed: 0, overdue: 0, lost: 0, unprotected: 0, succeeded: 0 },
  ...{ testsFailed: 0, testsOverdue: 0 },
};
const NOTHING_OMITTED = {
  ...{ runs: 0, snapshots: 0, vms: 0, unprotected: 0, due: 0 },
  ...{ tests: 0, testing: 0 },
};

function aReport(fields: Partial<ReportView> = {}): ReportView {
  return {
    ...{ date: '2026-05-05', summary: NOTHING, runs: [], snapshots: [], vms: [], unprotected: [], due: [] },
    ...{ tests: [], testing: [] },
    ...{ omitted: NOTHING_OMITTED, gaps: [], next: null },
    ...fields,
  };
}

async function reported(report: ReportView, ...args: string[]) {
  await using api = await stubApi({ 'GET /reports?date=2026-05-05': () => [200, report] });
  return await xensnap(['report', '--date', '2026-05-05', '--api', api.url, ...args]);
}

const WEB_1 = { name: 'web-1', pool: 'demo', uuid: 'u' };
const vm = { ...WEB_1, lastBackup: null, lost: [], lookedAt: null, lastProven: null, failedTest: null };

it('shows runs, snapshots on demand, ages, what nothing protects, and what it could not look at', async () => {
  const { status, stdout, stderr } = await reported(
    aReport({
      summary: { ...NOTHING, ok: false, failed: 1, missed: 2 },
      runs: [
        {
          ...{ scheduleId: 's', nominal: '2026-05-05T02:00:00.000Z', vm: WEB_1, pool: 'demo' },
          ...{ backupType: 'daily', jobId: null, finishedAt: null },
          ...{ state: 'skipped', reason: { name: 'RunMissed', message: 'too late' } },
        },
      ],
      snapshots: [
        {
          ...{
            jobId: 'job-7',
            createdAt: '2026-05-05T12:00:00.000Z',
            vm: { ...WEB_1, name: 'db-1' },
            backupType: null,
            finishedAt: null,
          },
          ...{ status: 'failed', reason: { name: 'UploadFailed', message: 'the line was cut' } },
        },
      ],
      vms: [
        {
          ...{ ...vm, ageHours: 0.155, overdue: false },
          lastBackup: { imageId: 'image-1', type: 'daily', verifiedAt: '2026-05-04T02:00:00.000Z' },
          lost: [
            {
              ...{ imageId: 'image-2', type: 'daily', verifiedAt: '2026-05-05T02:00:00.000Z' },
              ...{
                foundAt: '2026-05-05T03:00:00.000Z',
                message: 'The image image-2 is no longer in Glance.',
              },
            },
          ],
        },
        { ...vm, name: 'web-2', ageHours: 60, overdue: true },
      ],
      unprotected: [{ ...vm, name: 'forgotten', ageHours: null }],
      omitted: { ...NOTHING_OMITTED, runs: 3 },
      gaps: [{ what: 'the VMs of the pool "b"', reason: { name: 'PoolUnreachable', message: 'away' } }],
    }),
  );
  expect([status, stderr]).toEqual([1, 'xensnap: 1 failed, 2 missed\n']);
  for (const text of [
    'RunMissed: too late',
    'UploadFailed: the line was cut',
    /image-1 +9 min +never/,
    'web-1: The image image-2 is no longer in Glance.',
    /web-2 .*none .*scheduled 2 d ago, overdue/,
    /NOTHING PROTECTS[\s\S]*forgotten/,
    '3 more runs had no room',
    'Not looked at: the VMs of the pool "b". away',
  ])
    expect(stdout).toMatch(text);
});

it('ends with status 0 where all is well, and says the same with --json', async () => {
  expect(await reported(aReport())).toMatchObject({ status: 0, stderr: '' });
  const lost = aReport({ summary: { ...NOTHING, ok: false, lost: 1 } });
  expect(await reported(aReport(), '--json')).toMatchObject({ status: 0, stderr: '' });
  const { status, stdout } = await reported(lost, '--json');
  expect([status, JSON.parse(stdout)]).toEqual([1, lost]);
});

it('takes today and yesterday for the days that they are', async () => {
  const asked: string[] = [];
  const days = [0, 1].map((ago) => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10));
  await using api = await stubApi(
    Object.fromEntries(
      days.map((date) => [
        `GET /reports?date=${date}`,
        () => {
          asked.push(date);
          return [200, aReport({ date })];
        },
      ]),
    ),
  );
  for (const word of ['today', 'yesterday'])
    expect((await xensnap(['report', '--date', word, '--api', api.url])).status).toBe(0);
  expect(asked).toEqual(days);
});

it.each([
  ['2000-01-01', 'No schedule was due on 2000-01-01.\n'],
  ['2999-01-01', '2999-01-01 is still to come.\n'],
  [new Date().toISOString().slice(0, 10), expect.stringMatching(/^No schedule was due on 2.* so far\.\n$/)],
])('says of the day %s no more than can be known by now', async (date, text) => {
  const { stdout } = await reported(aReport({ date }));
  expect(stdout).toEqual(text);
});

it('says in its help with which status it ends', async () => {
  expect((await xensnap(['report', '--help'])).stdout).toMatch(/Exit status: 1 where something .* failed/);
});

it('shows the day’s tests, when each VM was last proved to restore, and whose tests are overdue', async () => {
  const failed = { imageId: 'image-1', jobId: 'job-1', at: '2026-05-05T09:10:00.000Z', name: 'ImageDamaged' };
  const { status, stdout, stderr } = await reported(
    aReport({
      summary: { ...NOTHING, ok: false, testsFailed: 1, testsOverdue: 1 },
      tests: [
        {
          ...{ scheduleId: 's', nominal: '2026-05-05T09:00:00.000Z', vm: WEB_1, imageId: 'image-1' },
          ...{ jobId: 'job-1', state: 'failed', finishedAt: failed.at },
          reason: { name: 'ImageDamaged', message: 'another hash' },
        },
      ],
      testing: [
        {
          ...{ scheduleId: 's', name: 'nightly', every: 'weekly', overdue: true, nextTest: null },
          lastProven: '2026-04-05T09:10:00.000Z',
        },
        { scheduleId: 't', name: null, every: 'weekly', overdue: false, nextTest: null, lastProven: null },
      ],
      vms: [
        {
          ...{ ...vm, ageHours: 1, overdue: false, failedTest: failed },
          lastProven: {
            ...{ imageId: 'image-0', jobId: 'job-0', seconds: 42, reached: 'tools' },
            at: '2026-04-05T09:10:00.000Z',
          },
        },
      ],
    }),
  );
  expect(status).toBe(1);
  expect(stderr).toContain('1 failed test, 1 schedule with overdue tests');
  expect(stdout).toMatch(/web-1 +image-1 +failed +job-1 +ImageDamaged: another hash/);
  expect(stdout).toMatch(/Overdue: the schedule nightly tests a restore weekly, and the last was proved on/);
  expect(stdout).toMatch(/2026-04-05.* \(tools\)/);
  expect(stdout).toMatch(
    /^web-1: The restore of image-1 was tested on .* failed \(ImageDamaged, job job-1\)/m,
  );
  expect(stdout).not.toContain('schedule t');
});

it('follows the pages, judges by what the last one counts, and tells what any could not look at', async () => {
  const run = {
    ...{ scheduleId: 's', nominal: '2026-05-05T02:00:00.000Z', pool: 'demo', backupType: 'daily' },
    ...{ jobId: null, finishedAt: null, reason: null },
    state: 'succeeded' as const,
  };
  const pages: Record<string, ReportView> = {
    '': aReport({
      runs: [{ ...run, vm: WEB_1 }],
      next: 'a-marker',
      gaps: [
        { what: 'the VMs of the pool "b"', reason: { name: 'XapiBusy', message: 'slow' } },
        { what: 'backups in Glance', reason: { name: 'TimedOut', message: 'late' } },
      ],
      omitted: { ...NOTHING_OMITTED, runs: 1 },
    }),
    '&marker=a-marker': aReport({
      runs: [{ ...run, vm: { ...WEB_1, name: 'web-2' } }],
      summary: { ...NOTHING, ok: false, failed: 1 },
      gaps: [{ what: 'backups in Glance', reason: { name: 'TimedOut', message: 'late' } }],
    }),
  };
  await using api = await stubApi(
    Object.fromEntries(
      Object.entries(pages).map(([more, page]) => [`GET /reports?date=2026-05-05${more}`, () => [200, page]]),
    ),
  );
  const { status, stdout, stderr } = await xensnap(['report', '--date', '2026-05-05', '--api', api.url]);
  expect([stdout.includes('web-1'), stdout.includes('web-2'), stdout.includes('had no room')]).toEqual([
    ...[true, true, false],
  ]);
  expect([status, stderr]).toEqual([1, expect.stringContaining('1 failed')]);
  expect(stdout.match(/Not looked at: .*/g)).toEqual([
    'Not looked at: the VMs of the pool "b". slow',
    'Not looked at: backups in Glance. late',
  ]);
});
