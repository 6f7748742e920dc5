import type { TestPeriod } from '../words.ts';
import type { Schedule } from './schedule.ts';

const DAY_MS = 86_400_000;
/** A month counts as so many days: tests need no day of the calendar. */
const DAYS: Readonly<Record<TestPeriod, number>> = { daily: 1, weekly: 7, monthly: 30 };

/** How long a period of tests is, in ms. */
export function testPeriodMs(every: TestPeriod): number {
  return DAYS[every] * DAY_MS;
}

/** The first nominal time of a schedule's tests after an instant, in ms since 1970. */
export function nextTest(
  { every, testAnchor }: { readonly every: TestPeriod; readonly testAnchor: string },
  after: number,
): number {
  const [start, period] = [Date.parse(testAnchor), testPeriodMs(every)];
  return start + Math.max(1, Math.floor((after - start) / period) + 1) * period;
}

/** A day for what a restore takes, and for what keeps it waiting. */
const GRACE_MS = DAY_MS;

/** Whether two periods of an enabled schedule's tests have passed in which none proved anything. */
export function areTestsOverdue(
  { enabled, restoreTest, testAnchor = '', provenAt = '' }: Schedule,
  now: Date,
): boolean {
  if (!enabled || !restoreTest) return false;
  const since = Date.parse(provenAt > testAnchor ? provenAt : testAnchor);
  return now.getTime() - since > 2 * testPeriodMs(restoreTest.every) + GRACE_MS;
}
