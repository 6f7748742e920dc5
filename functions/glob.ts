import { XensnapError } from './errors.ts';

/** What a pattern may measure, in characters, and how many `*` it may have. */
export const MOST_OF_PATTERN = { characters: 255, stars: 16 };
/** A longer name fits no pattern: xapi bounds no name, and a guest's owner may choose it. */
export const LONGEST_NAME = 1024;

/** Why a text is no pattern that names are compared with; undefined for one that is. */
export function patternProblem(pattern: string): string | undefined {
  const { characters, stars } = MOST_OF_PATTERN;
  const { length } = [...pattern];
  if (length > characters) return `a pattern has at most ${characters} characters, this one has ${length}`;
  const found = pattern.split('*').length - 1;
  return found > stars ? `a pattern has at most ${stars} "*", this one has ${found}` : undefined;
}

/**
 * Compares names with a pattern in which `*` stands for any characters. Each part between two `*` is looked for once,
 * behind the one before it, so that a name costs its length times the pattern's at most.
 * @throws BadRequest for a pattern that is too long or has too many `*`, also where it is on record from before
 */
export function globMatcher(pattern: string): (name: string) => boolean {
  const problem = patternProblem(pattern);
  if (problem !== undefined) throw new XensnapError('BadRequest', `namePattern: ${problem}.`);
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return (name) => name === pattern;
  const between = rest.filter((part) => part !== '');
  return (name) => {
    if (name.length > LONGEST_NAME || name.length < first.length + last.length) return false;
    if (!name.startsWith(first) || !name.endsWith(last)) return false;
    const end = name.length - last.length;
    let from = first.length;
    for (const part of between) {
      const at = name.indexOf(part, from);
      if (at < 0) return false;
      from = at + part.length;
    }
    return from <= end;
  };
}
