import fc from 'fast-check';
import { expect, it } from 'vitest';
import { globMatcher, LONGEST_NAME, patternProblem } from '../../functions/glob.ts';

it.each([
  ['db-*', 'db-1', true],
  ['db-*', 'mydb-1', false],
  ['*.prod', 'a.prod', true],
  ['*.prod', 'a-prod', false],
  ['a*c*e', 'abcde', true],
  ['a*a', 'a', false],
  ['*ab*ab', 'xab', false],
  ['**', '', true],
  ['web', 'web-1', false],
  ['*', 'two\nlines', true],
  ['*', 'n'.repeat(LONGEST_NAME), true],
  ['*', 'n'.repeat(LONGEST_NAME + 1), false],
])('reads the pattern %s for the name %.10j as %s', (pattern, name, fits) => {
  expect(globMatcher(pattern)(name)).toBe(fits);
});

it('agrees with the definition for any pattern and name', () => {
  /** The obvious way to write it, which takes for ever on a long name. */
  const fits = (name: string, pattern: string): boolean => {
    if (pattern === '') return name === '';
    const [head, rest] = [pattern[0], pattern.slice(1)];
    if (head === '*') return fits(name, rest) || (name !== '' && fits(name.slice(1), pattern));
    return name[0] === head && fits(name.slice(1), rest);
  };
  const letters = (...units: string[]) =>
    fc.array(fc.constantFrom(...units), { maxLength: 9 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(letters('a', 'b', '.'), letters('a', 'b', '.', '*'), (name, pattern) => {
      expect(globMatcher(pattern)(name)).toBe(fits(name, pattern));
    }),
    { numRuns: 3000 },
  );
});

it('compares 10,000 names that nearly fit with the worst pattern in no time to speak of', () => {
  const matches = globMatcher(`${'a*'.repeat(15)}${'a'.repeat(200)}b*!`);
  const name = `${'a'.repeat(LONGEST_NAME - 1)}!`;
  const began = performance.now();
  for (let n = 0; n < 10_000; n++) expect(matches(name)).toBe(false);
  expect(performance.now() - began).toBeLessThan(5000);
});

it.each([
  [`${'*'.repeat(200)}!`, /at most 16 "\*", this one has 200/],
  ['x'.repeat(256), /at most 255 characters, this one has 256/],
])('refuses %.10s…, and says what a pattern may be', (pattern, why) => {
  expect(patternProblem(pattern)).toMatch(why);
  expect(() => globMatcher(pattern)).toThrow(
    expect.objectContaining({ name: 'BadRequest', message: expect.stringMatching(why) }),
  );
});
