import { expect, it } from 'vitest';
import { nextNominal, type Timing, WINDOWS } from '../../../functions/schedules/timing.ts';

/** The nominal times after `from`, to the minute. */
function times(timing: Timing, from: string, count = 3, timeZone = 'UTC', anchor = from): string[] {
  const found: string[] = [];
  let after = Date.parse(from);
  while (found.length < count) {
    const next = nextNominal({ timing, timeZone, anchor }, after);
    if (next === undefined) break;
    found.push(new Date(next).toISOString().slice(0, 16));
    after = next;
  }
  return found;
}

it.each<[cron: string, ...expected: string[]]>([
  ['0 2 * * ? *', '2026-01-01T02:00', '2026-01-02T02:00', '2026-01-03T02:00'],
  ['cron(30 6,18 1-3 * ? *)', '2026-01-01T06:30', '2026-01-01T18:30', '2026-01-02T06:30'],
  ['0/20 4 * * ? *', '2026-01-01T04:00', '2026-01-01T04:20', '2026-01-01T04:40'],
  ['*/40 4 * * ? *', '2026-01-01T04:00', '2026-01-01T04:40', '2026-01-02T04:00'],
  ['0 8-20/6 * * ? *', '2026-01-01T08:00', '2026-01-01T14:00', '2026-01-01T20:00'],
  // 1 is Sunday.
  ['0 2 ? * 1 *', '2026-01-04T02:00', '2026-01-11T02:00', '2026-01-18T02:00'],
  ['0 2 ? * SAT *', '2026-01-03T02:00', '2026-01-10T02:00', '2026-01-17T02:00'],
  ['0 2 ? * L *', '2026-01-03T02:00', '2026-01-10T02:00', '2026-01-17T02:00'],
  ['0 2 ? * MON-WED *', '2026-01-05T02:00', '2026-01-06T02:00', '2026-01-07T02:00'],
  ['0 2 ? * 6L *', '2026-01-30T02:00', '2026-02-27T02:00', '2026-03-27T02:00'],
  ['0 2 ? * FRI#2 *', '2026-01-09T02:00', '2026-02-13T02:00', '2026-03-13T02:00'],
  ['0 2 ? * 1#5 *', '2026-03-29T02:00', '2026-05-31T02:00', '2026-08-30T02:00'],
  ['0 2 L * ? *', '2026-01-31T02:00', '2026-02-28T02:00', '2026-03-31T02:00'],
  ['0 2 LW * ? *', '2026-01-30T02:00', '2026-02-27T02:00', '2026-03-31T02:00'],
  ['0 2 15W * ? *', '2026-01-15T02:00', '2026-02-16T02:00', '2026-03-16T02:00'],
  ['0 2 1 jan,JUL ? *', '2026-01-01T02:00', '2026-07-01T02:00', '2027-01-01T02:00'],
  ['0 2 29 2 ? *', '2028-02-29T02:00', '2032-02-29T02:00', '2036-02-29T02:00'],
  ['0 2 1 1 ? 2026-2027', '2026-01-01T02:00', '2027-01-01T02:00'],
])('reads the cron expression "%s"', (cron, ...expected) => {
  expect(times({ cron }, '2026-01-01T00:00:00Z')).toEqual(expected);
});

it.each([
  ['0 2 * * ?', 'has 5 fields'],
  ['0 2 * * * *', 'needs "?" in one of day of the month and day of the week'],
  ['0 2 ? * ? *', 'needs "?" in one of day of the month and day of the week'],
  ['60 2 * * ? *', 'minutes "60" must be from 0 to 59'],
  ['0 24 * * ? *', 'hours "24" must be from 0 to 23'],
  ['0 22-4 * * ? *', 'hours "22-4" is a range that runs backwards'],
  ['0 2 0 * ? *', 'day of the month "0" must be from 1 to 31'],
  ['0 2 32W * ? *', 'day of the month "32W" must be'],
  ['0 2 L-3 * ? *', 'day of the month "L-3" must be'],
  ['0 2 * 13 ? *', 'month "13" must be from 1 to 12 or JAN to DEC'],
  ['0 2 ? * 0 *', 'day of the week "0" must be from 1 to 7 or SUN to SAT'],
  ['0 2 ? * FUN *', 'day of the week "FUN" must be'],
  ['0 2 ? * FRI#6 *', 'day of the week "FRI#6" must have a place from 1 to 5'],
  ['0 2 * * ? 1969', 'year "1969" must be from 1970 to 2199'],
  ['*/0 2 * * ? *', 'minutes "*/0" is no value, range or step'],
  ['1-2-3 2 * * ? *', 'minutes "1-2-3" is no value'],
  ['x 2 * * ? *', 'minutes "X" must be'],
  [', 2 * * ? *', 'minutes "" is no value'],
  ['-1 2 * * ? *', 'minutes "-1" is no value'],
])('refuses the cron expression "%s", naming the field', (cron, message) => {
  expect(() => times({ cron }, '2026-01-01T00:00:00Z')).toThrow(message);
});

it('counts a rate from its anchor, whatever the clocks do', () => {
  const rate = (text: string) =>
    times({ rate: text }, '2026-03-28T20:00:00Z', 3, 'Europe/Berlin', '2026-03-28T14:05:00Z');
  expect(rate('rate(6 hours)')).toEqual(['2026-03-28T20:05', '2026-03-29T02:05', '2026-03-29T08:05']);
  expect(rate('1 day')).toEqual(['2026-03-29T14:05', '2026-03-30T14:05', '2026-03-31T14:05']);
  expect(rate('90 minutes')).toEqual(['2026-03-28T20:05', '2026-03-28T21:35', '2026-03-28T23:05']);
});

it('does not run a rate at its anchor itself', () => {
  expect(times({ rate: '1 hour' }, '2026-01-01T00:00:00Z', 1)).toEqual(['2026-01-01T01:00']);
});

it.each([
  '0 hours',
  '-1 hours',
  '1.5 hours',
  '6',
  'hours',
  '6 weeks',
  '367 days',
  '6  hours',
  'rate(6 hours',
])('refuses the rate "%s"', (rate) => {
  expect(() => times({ rate }, '2026-01-01T00:00:00Z')).toThrow(/^rate: must be/);
});

it('begins daily and weekly ones at the minute, or at the window’s beginning', () => {
  const from = '2026-01-01T00:00:00Z';
  expect(times({ daily: { at: '04:30' } }, from, 2)).toEqual(['2026-01-01T04:30', '2026-01-02T04:30']);
  expect(times({ daily: { window: 'H_2200_0000' } }, from, 1)).toEqual(['2026-01-01T22:00']);
  expect(times({ weekly: { day: 'SUNDAY', window: 'H_0400_0600' } }, from, 2)).toEqual([
    '2026-01-04T04:00',
    '2026-01-11T04:00',
  ]);
  expect(WINDOWS).toHaveLength(12);
});

it.each<[Timing, string]>([
  [{ daily: { at: '24:00' } }, 'daily.at: must be'],
  [{ daily: { at: '4:30' } }, 'daily.at: must be'],
  [{ daily: { window: 'H_0300_0500' } }, 'daily.window: must be one of H_0000_0200'],
  [{ weekly: { day: 'Sunday' as 'SUNDAY', at: '04:30' } }, 'weekly.day: must be one of SUNDAY'],
])('refuses %j', (timing, message) => {
  expect(() => times(timing, '2026-01-01T00:00:00Z')).toThrow(message);
});

it.each<[zone: string, at: string, from: string, ...expected: string[]]>([
  // 02:00 to 03:00 is left out: 03:00 is the next minute that there is.
  ['Europe/Berlin', '02:30', '2026-03-28T00:00Z', '2026-03-28T01:30', '2026-03-29T01:00', '2026-03-30T00:30'],
  // 02:30 comes twice: only the first counts.
  ['Europe/Berlin', '02:30', '2026-10-24T00:00Z', '2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30'],
  [
    'America/New_York',
    '02:30',
    '2026-03-07T00:00Z',
    '2026-03-07T07:30',
    '2026-03-08T07:00',
    '2026-03-09T06:30',
  ],
  [
    'America/New_York',
    '01:30',
    '2026-10-31T00:00Z',
    '2026-10-31T05:30',
    '2026-11-01T05:30',
    '2026-11-02T06:30',
  ],
  // Half an hour, and in the other half of the year.
  ['Australia/Lord_Howe', '02:15', '2026-10-02T18:00Z', '2026-10-03T15:30', '2026-10-04T15:15'],
  ['Australia/Lord_Howe', '01:45', '2026-04-03T18:00Z', '2026-04-04T14:45', '2026-04-05T15:15'],
  // A whole day that an island left out.
  ['Pacific/Apia', '12:00', '2011-12-29T00:00Z', '2011-12-29T22:00', '2011-12-30T10:00', '2011-12-30T22:00'],
])('runs once a day in %s at %s, at the changes of the clock too', (zone, at, from, ...expected) => {
  expect(times({ daily: { at } }, from.replace('Z', ':00Z'), expected.length, zone)).toEqual(expected);
});

it('makes one of the times that a gap and its end have', () => {
  const every = { cron: '0/15 2,3 * * ? *' };
  expect(times(every, '2026-03-29T00:00:00Z', 5, 'Europe/Berlin')).toEqual([
    ...['2026-03-29T01:00', '2026-03-29T01:15', '2026-03-29T01:30', '2026-03-29T01:45'],
    '2026-03-30T00:00',
  ]);
});

it('goes on after an hour that comes twice, without running in its second half', () => {
  const every = { cron: '0/30 1-3 * * ? *' };
  expect(times(every, '2026-10-24T23:10:00Z', 5, 'Europe/Berlin')).toEqual([
    ...['2026-10-24T23:30', '2026-10-25T00:00', '2026-10-25T00:30', '2026-10-25T02:00', '2026-10-25T02:30'],
  ]);
  // Asked in the middle of the second showing.
  expect(times(every, '2026-10-25T01:05:00Z', 1, 'Europe/Berlin')).toEqual(['2026-10-25T02:00']);
});

it.each(['Europe/Nowhere', '+02:00', ''])('refuses the time zone "%s"', (zone) => {
  expect(() => times({ daily: { at: '02:00' } }, '2026-01-01T00:00:00Z', 1, zone)).toThrow(/^timeZone: /);
});
