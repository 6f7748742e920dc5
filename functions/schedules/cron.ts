import { Cron } from 'croner';
import { XensnapError } from '../errors.ts';

/** Times of a wall clock, in ms since 1970 as if the clock showed UTC: the first one after `after`, if any. */
export type WallTimes = (after: number) => number | undefined;

interface Field {
  readonly name: string;
  readonly least: number;
  readonly most: number;
  /** Names of values, from `least` on. */
  readonly words?: readonly string[];
}

const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const DAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];
const MINUTES: Field = { name: 'minutes', least: 0, most: 59 };
const HOURS: Field = { name: 'hours', least: 0, most: 23 };
const DAY_OF_MONTH: Field = { name: 'day of the month', least: 1, most: 31 };
const MONTH: Field = { name: 'month', least: 1, most: 12, words: MONTHS };
const DAY_OF_WEEK: Field = { name: 'day of the week', least: 1, most: 7, words: DAYS };
const YEAR: Field = { name: 'year', least: 1970, most: 2199 };

/**
 * Reads a cron expression as EventBridge has it: six fields (minutes, hours, day of the month, month, day of the week
 * with 1 = SUN, year), with `?` in exactly one of the two days, and `L`, `W` and `#`.
 * @see https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
 * @throws BadRequest that names the field
 */
export function cronTimes(expression: string): WallTimes {
  const fields = expression.trim().split(/\s+/);
  if (fields.length !== 6)
    throw refused(
      `has ${fields.length} fields; it needs six: minutes, hours, day of the month, month, day of the week, year`,
    );
  const [minutes = '', hours = '', dom = '', month = '', dow = '', year = ''] = fields.map((field) =>
    field.toUpperCase(),
  );
  if ((dom === '?') === (dow === '?'))
    throw refused('needs "?" in one of day of the month and day of the week, and not in the other');
  const pattern = [
    '0',
    list(minutes, MINUTES),
    list(hours, HOURS),
    daysOfMonth(dom),
    list(month, MONTH),
    daysOfWeek(dow),
    list(year, YEAR),
  ].join(' ');
  // A clock that is never changed: what a time zone does to a time is not the library's to decide.
  const cron = new Cron(pattern, { mode: '7-part', timezone: 'UTC', paused: true });
  return (after) => cron.nextRun(new Date(after))?.getTime();
}

function refused(what: string): XensnapError {
  return new XensnapError('BadRequest', `cron: the expression ${what}.`);
}

function wrong({ name, least, most, words }: Field, part: string, what?: string): XensnapError {
  const range = words ? `${least} to ${most} or ${words[0]} to ${words.at(-1)}` : `${least} to ${most}`;
  return new XensnapError('BadRequest', `cron: the ${name} "${part}" ${what ?? `must be from ${range}`}.`);
}

/** `*`, values, ranges and steps, as the list of values that the library reads without doubt. */
function list(text: string, field: Field): string {
  if (text === '*') return '*';
  const values = new Set(text.split(',').flatMap((part) => valuesOf(part, field)));
  return [...values].sort((a, b) => a - b).join(',');
}

function valuesOf(part: string, field: Field): number[] {
  const [, range = '', step] = /^([^/-]+(?:-[^/-]+)?)(?:\/([1-9]\d*))?$/.exec(part) ?? [];
  if (range === '') throw wrong(field, part, 'is no value, range or step such as 5, 1-5, */15 or 0/15');
  const [from = '', to] = range.split('-');
  const first = from === '*' && to === undefined ? field.least : numberOf(from, field, part);
  const open = from === '*' || (to === undefined && step !== undefined);
  const last = to !== undefined ? numberOf(to, field, part) : open ? field.most : first;
  if (last < first) throw wrong(field, part, 'is a range that runs backwards; write it as two, with a comma');
  const values: number[] = [];
  for (let value = first; value <= last; value += Number(step ?? 1)) values.push(value);
  return values;
}

function numberOf(text: string, field: Field, part: string): number {
  const named = field.words?.indexOf(text) ?? -1;
  const value = named >= 0 ? field.least + named : /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= field.least && value <= field.most) return value;
  throw wrong(field, part);
}

/** `L` is the month's last day, `LW` its last weekday, `15W` the weekday nearest to the 15th. */
function daysOfMonth(text: string): string {
  if (text === '?') return '*';
  if (text === 'L' || text === 'LW') return text;
  if (text.endsWith('W')) return `${numberOf(text.slice(0, -1), DAY_OF_MONTH, text)}W`;
  return list(text, DAY_OF_MONTH);
}

/** `L` is Saturday, `FRIL` the month's last Friday, `FRI#2` its second. The library counts from SUN = 0. */
function daysOfWeek(text: string): string {
  if (text === '?' || text === '*') return '*';
  if (text === 'L') return '6';
  const [, last] = /^(\w+)L$/.exec(text) ?? [];
  if (last !== undefined) return `${numberOf(last, DAY_OF_WEEK, text) - 1}#L`;
  const [, day, place] = /^(\w+)#(\d)$/.exec(text) ?? [];
  if (day === undefined)
    return list(text, DAY_OF_WEEK)
      .split(',')
      .map((value) => Number(value) - 1)
      .join(',');
  if (Number(place) < 1 || Number(place) > 5)
    throw wrong(DAY_OF_WEEK, text, 'must have a place from 1 to 5 after "#"');
  return `${numberOf(day, DAY_OF_WEEK, text) - 1}#${place}`;
}
