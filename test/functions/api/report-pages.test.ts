import { expect, it } from 'vitest';
import { pageOf, type ReportPlace, reportPlaceOf } from '../../../functions/api/report-pages.ts';
import { reportView } from '../../../functions/api/report-view.ts';
import type { ProtectedVm } from '../../../functions/schedules/ages.ts';
import type { Report, ReportedRun } from '../../../functions/schedules/report.ts';

const OPERATOR = { id: 'local', actor: 'local', role: 'admin' } as const;
const AT = '2026-05-05T12:00:00.000Z';
const FIRST: ReportPlace = { date: '2026-05-05', at: AT, told: {} };
const NOTHING = { runs: [], tests: [], testing: [], snapshots: [], vms: [], unprotected: [], due: [] };
const EMPTY: Report = { ...NOTHING, gaps: [] };
const REASON = { name: 'UploadFailed', message: 'x'.repeat(1000) };

const aRun = (n: number, fields: Partial<ReportedRun> = {}): ReportedRun => ({
  ...{ scheduleId: 's', nominal: '2026-05-05T02:00:00.000Z', backupType: 'daily', pool: 'demo' },
  ...{ vmUuid: `vm-${String(n).padStart(5, '0')}`, vmName: 'n'.repeat(1000), state: 'running' },
  ...fields,
});

/** All pages of a report, which may be another for each. */
function pagesOf(reportAt: (page: number) => Report) {
  const pages: ReturnType<typeof reportView>[] = [];
  for (let after: ReportPlace | undefined = FIRST; after; ) {
    const page = reportView(reportAt(pages.length), OPERATOR, after);
    pages.push(page);
    after = page.next === null ? undefined : reportPlaceOf(page.next);
  }
  return pages;
}

it('leaves the order of what fits on one page as it is, and has no next', () => {
  const [page, ...others] = pagesOf(() => ({ ...EMPTY, runs: [aRun(2), aRun(1)] }));
  expect(page?.runs.map(({ vm }) => vm?.uuid)).toEqual(['vm-00002', 'vm-00001']);
  expect([others, page?.next]).toEqual([[], null]);
});

it('tells each run once although some of them fail between two pages', () => {
  const later = '2026-05-05T12:00:30.000Z';
  const pages = pagesOf((page) => ({
    ...EMPTY,
    runs: Array.from({ length: 9000 }, (_, n) => {
      if (n % 10 === 9) return aRun(n, { state: 'failed', finishedAt: '2026-05-05T03:00:00.000Z' });
      const fails = page > 0 && n % 2 === 0;
      return aRun(n, fails ? { state: 'failed', reason: REASON, finishedAt: later } : {});
    }),
  }));
  const told = pages.flatMap(({ runs }) => runs.map(({ vm }) => vm?.uuid));
  expect(pages.length).toBeGreaterThan(2);
  expect([told.length, new Set(told).size]).toEqual([9000, 9000]);
  expect(pages[0]?.runs.slice(0, 900).every(({ state }) => state === 'failed')).toBe(true);
});

it('tells each VM once although its age is another on each page', () => {
  const hour = (n: number) => `2026-05-05T${String(n).padStart(2, '0')}:00:00.000Z`;
  const vms = Array.from(
    { length: 9000 },
    (_, n): ProtectedVm => ({
      ...{ pool: 'demo', uuid: `vm-${n}`, name: 'n'.repeat(1000), since: AT, by: [], overdueHours: 48 },
      ...{ last: undefined, lost: [], lookedAt: undefined, tests: {}, overdue: false, ageHours: 1 },
      // One that nobody has noted yet counts from each look anew.
      oldest: n % 3 === 0 ? '2026-05-05T12:00:07.000Z' : hour(n % 12),
    }),
  );
  const pages = pagesOf((page) => ({ ...EMPTY, vms: page % 2 ? vms.toReversed() : vms }));
  const told = pages.flatMap((page) => page.vms.map(({ uuid }) => uuid));
  expect(pages.length).toBeGreaterThan(1);
  expect([told.length, new Set(told).size]).toEqual([9000, 9000]);
});

it('gives the room that some lists do not need to the others, and comes to the end of each', () => {
  const entries = (count: number, bytes: number) =>
    Array.from({ length: count }, (_, n) => ({ view: 'x'.repeat(bytes), place: [n] }));
  const lists = { ...NOTHING, runs: entries(6000, 1000), due: entries(3, 10), vms: entries(1, 9_000_000) };
  const first = pageOf(lists, FIRST);
  expect(first.page.vms).toHaveLength(1);
  const small = pageOf({ ...lists, vms: [] }, FIRST);
  expect(small.page.runs.length).toBeGreaterThan(4500);
  expect(small.left).toMatchObject({ runs: 6000 - small.page.runs.length, due: 0 });
  const second = pageOf({ ...lists, vms: [] }, reportPlaceOf(small.next ?? ''));
  expect([second.page.runs.length, second.page.due, second.next]).toEqual([small.left.runs, [], null]);
});

it.each(['', 'x', Buffer.from('{"date":"2026-05-05"}').toString('base64url')])(
  'refuses the marker "%s"',
  (marker) => {
    expect(() => reportPlaceOf(marker)).toThrow('take it from "next"');
  },
);
