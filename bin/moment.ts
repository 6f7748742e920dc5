import { InvalidArgumentError } from 'commander';

/** A day, or a day and a time of it, as `images` shows it too; with Z in UTC, and without it as clocks are here. */
const MOMENT = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d))?(Z)?)?$/;

/** Reads an option that is a moment; a day alone is its beginning here. */
export function moment(text: string): Date {
  const [, day = '', time = '00:00', seconds = '00', zone = ''] = MOMENT.exec(text) ?? [];
  const isDay = new Date(`${day}T00:00:00Z`);
  const at = new Date(`${day}T${time}:${seconds}${zone}`);
  // 30 February is taken for the 1st or 2nd of March.
  if (!Number.isNaN(at.getTime()) && isDay.toISOString().startsWith(day)) return at;
  throw new InvalidArgumentError(
    'It must be a moment such as 2026-11-20, 2026-11-20T02:00 or 2026-11-20T02:00Z.',
  );
}
