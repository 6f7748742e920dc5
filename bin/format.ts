const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Bytes for people, such as `1.5 GiB`. */
export function size(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 2 ** (10 * power);
  return `${power === 0 ? value : value.toFixed(1)} ${UNITS[power]}`;
}

/** Seconds for people, such as `0:42` or `1:02:03`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** An age for people, such as `9 min`, `3 h` or `2 d`: minutes below two hours, hours below two days. */
export function age(seconds: number): string {
  const minutes = Math.max(0, Math.floor(seconds / 60));
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`;
}

/** An ISO time as date and time of day in UTC. */
export function time(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)}Z`;
}

/** An ISO time as the time of day here, with the date where that is not today's. */
export function localTime(iso: string, now: Date): string {
  const at = new Date(iso);
  const two = (value: number) => String(value).padStart(2, '0');
  const dateOf = (day: Date) => [day.getFullYear(), two(day.getMonth() + 1), two(day.getDate())].join('-');
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
  return dateOf(at) === dateOf(now) ? clock : `${dateOf(at)} ${clock}`;
}

/** A place in a row, such as `1st` or `12th`. */
export function ordinal(place: number): string {
  const endings = ['th', 'st', 'nd', 'rd'];
  const isTeen = Math.floor(place / 10) % 10 === 1;
  return `${place}${(isTeen ? undefined : endings[place % 10]) ?? 'th'}`;
}

/** A name as a terminal may show it: what others named may hold escape sequences, or what turns the line round. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Bidi_Control}]/gu, '?');
}
