import { XensnapError } from '../errors.ts';
import { cronTimes, type WallTimes } from './cron.ts';
import { instantOf, wallTimeOf } from './wall-clock.ts';

export const WEEKDAYS = [
  'SUNDAY',
  'MONDAY',
  'TUESDAY',
  'WEDNESDAY',
  'THURSDAY',
  'FRIDAY',
  'SATURDAY',
] as const;
export type Weekday = (typeof WEEKDAYS)[number];

/** The two hours of a day over which VMs are spread, as Rackspace's API has them; `H_2200_0000` ends at midnight. */
export const WINDOWS = Array.from({ length: 12 }, (_, index) => {
  const hour = (value: number) => `${String((value * 2) % 24).padStart(2, '0')}00`;
  return `H_${hour(index)}_${hour(index + 1)}`;
});
const WINDOW_MINUTES = 120;

/** A time of day: a window, or a minute such as `04:30`. */
export type DayTime = { readonly window: string } | { readonly at: string };

/** When a schedule is due. */
export type Timing =
  | { readonly cron: string }
  | { readonly rate: string }
  | { readonly daily: DayTime }
  | { readonly weekly: { readonly day: Weekday } & DayTime };

/** What {@link nextNominal} needs of a schedule. */
export interface Timed {
  readonly timing: Timing;
  readonly timeZone: string;
  /** From when a rate counts; ISO 8601. */
  readonly anchor: string;
}

/**
 * The schedule's first nominal time after an instant, in ms since 1970; undefined when there is none any more. Several
 * times that a change of the clock makes one are one.
 * @throws BadRequest for a timing or a time zone that is wrong
 */
export function nextNominal({ timing, timeZone, anchor }: Timed, after: number): number | undefined {
  if ('rate' in timing) {
    const [start, every] = [Date.parse(anchor), rateOf(timing.rate)];
    return start + Math.max(1, Math.floor((after - start) / every) + 1) * every;
  }
  const times = wallTimesOf(timing);
  // What the clocks have shown before now is over; of what they are still to show, some may be a second showing.
  for (let wall = times(wallTimeOf(after, timeZone)); wall !== undefined; wall = times(wall)) {
    const instant = instantOf(wall, timeZone);
    if (instant > after) return instant;
  }
  return undefined;
}

/** The width of a daily or weekly window, in minutes; undefined for a timing that has none. */
export function windowOf(timing: Timing): number | undefined {
  const time = 'daily' in timing ? timing.daily : 'weekly' in timing ? timing.weekly : undefined;
  return time && 'window' in time ? WINDOW_MINUTES : undefined;
}

/** The backup type that a kind of timing suggests. */
export function typeOf(timing: Timing): string | undefined {
  return 'daily' in timing ? 'daily' : 'weekly' in timing ? 'weekly' : undefined;
}

function wallTimesOf(timing: Exclude<Timing, { rate: string }>): WallTimes {
  if ('cron' in timing) return cronTimes(unwrapped(timing.cron, 'cron'));
  if ('daily' in timing) return cronTimes(`${minuteOf(timing.daily, 'daily')} * * ? *`);
  const { day } = timing.weekly;
  if (!WEEKDAYS.includes(day))
    throw new XensnapError('BadRequest', `weekly.day: must be one of ${WEEKDAYS.join(', ')}.`);
  return cronTimes(`${minuteOf(timing.weekly, 'weekly')} ? * ${day.slice(0, 3)} *`);
}

/** Minutes and hours as cron has them. */
function minuteOf(time: DayTime, field: string): string {
  if ('window' in time) {
    if (!WINDOWS.includes(time.window))
      throw new XensnapError('BadRequest', `${field}.window: must be one of ${WINDOWS.join(', ')}.`);
    return `0 ${Number(time.window.slice(2, 4))}`;
  }
  const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(time.at) ?? [];
  if (hours === undefined)
    throw new XensnapError('BadRequest', `${field}.at: must be a time of day such as 04:30.`);
  return `${Number(minutes)} ${Number(hours)}`;
}

const UNIT_MS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
/** Longer ones would overflow what a date can say. */
const MOST_DAYS = 366;

/** `6 hours`, with or without `rate(…)` around it, in ms. */
function rateOf(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,6}) (minute|hour|day)s?$/.exec(unwrapped(text, 'rate')) ?? [];
  const ms = Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
  if (ms <= MOST_DAYS * UNIT_MS.day) return ms;
  throw new XensnapError(
    'BadRequest',
    `rate: must be a number of minutes, hours or days such as "rate(6 hours)", of ${MOST_DAYS} days at most.`,
  );
}

function unwrapped(text: string, name: string): string {
  const trimmed = text.trim();
  const isWrapped = trimmed.startsWith(`${name}(`) && trimmed.endsWith(')');
  return isWrapped ? trimmed.slice(name.length + 1, -1) : trimmed;
}
