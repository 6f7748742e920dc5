import { shorten } from '../../glance/shorten.ts';

/** More would be no help to read. */
const MOST_NAMED = 8;
const MOST_NAME_CHARACTERS = 60;

/** What there is to choose from, for a message that refuses something else: each name once, and only some of many. */
export function choicesText(names: readonly string[]): string {
  const all = [...new Set(names)].toSorted((a, b) => a.localeCompare(b));
  if (all.length === 0) return 'there is none';
  const some = all.slice(0, MOST_NAMED).map((name) => `"${shorten(name, MOST_NAME_CHARACTERS)}"`);
  const rest = all.length - some.length;
  return `there is ${some.join(', ')}${rest > 0 ? `, and ${rest} more` : ''}`;
}
