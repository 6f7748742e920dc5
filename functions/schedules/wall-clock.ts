import { XensnapError } from '../errors.ts';

const formats = new Map<string, Intl.DateTimeFormat>();

/** @throws BadRequest for a name that the IANA's list does not have */
function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known) return known;
  try {
    // Intl takes offsets as well, of which nobody knows when summer begins.
    if (/^[+-]/.test(timeZone)) throw new RangeError('an offset');
    const made = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' });
    formats.set(timeZone, made);
    return made;
  } catch (cause) {
    throw new XensnapError(
      'BadRequest',
      `timeZone: there is no "${timeZone}"; use a name of the IANA's list, such as Europe/Berlin or UTC.`,
      { cause },
    );
  }
}

/** Throws BadRequest for an unknown time zone. */
export function refuseUnknownZone(timeZone: string): void {
  formatOf(timeZone);
}

/** How far the clocks of a time zone are ahead of UTC, in ms. */
function offsetAt(instant: number, timeZone: string): number {
  const parts = formatOf(timeZone).formatToParts(instant);
  const name = parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const [, sign, hours, minutes, seconds] = /^GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(name) ?? [];
  if (sign === undefined) return 0;
  const size = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds ?? 0);
  return (sign === '-' ? -1 : 1) * size * 1000;
}

/** What the clocks show at an instant, in ms since 1970 as if they showed UTC. */
export function wallTimeOf(instant: number, timeZone: string): number {
  return instant + offsetAt(instant, timeZone);
}

const DAY = 86_400_000;

/**
 * When the clocks show a time: of a time that they show twice, the first; of one that they leave out in spring, the
 * instant at which they are put forward, which is the next minute that there is. It never falls as `wall` rises.
 */
export function instantOf(wall: number, timeZone: string): number {
  // No zone changes its clocks twice within two days.
  const before = offsetAt(wall - DAY, timeZone);
  const after = offsetAt(wall + DAY, timeZone);
  const shown = [wall - before, wall - after].filter((instant) => wallTimeOf(instant, timeZone) === wall);
  if (shown.length > 0) return Math.min(...shown);
  let [early, late] = [wall - after, wall - before];
  while (late - early > 1000) {
    const middle = Math.floor((early + late) / 2000) * 1000;
    if (offsetAt(middle, timeZone) === before) early = middle;
    else late = middle;
  }
  return late;
}
