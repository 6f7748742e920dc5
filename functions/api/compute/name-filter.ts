import { runInNewContext } from 'node:vm';
import { wrongParameter } from './query.ts';

/** Milliseconds that all names together may take. An expression that needs more is meant to. */
const MOST_MS = 1000;

/**
 * Which of the names a filter's regular expression finds, anywhere in them, as Nova's database does. It runs under
 * a time limit: a caller's expression may take for ever.
 * @throws Fault 400 for what is no regular expression, or takes too long
 */
export function namesThatFit(expression: string, names: readonly string[]): ReadonlySet<string> {
  if (!/[\\^$.*+?()[\]{}|]/.test(expression))
    return new Set(names.filter((name) => name.includes(expression)));
  try {
    const fits: boolean[] = runInNewContext(
      'const pattern = new RegExp(expression, "s"); names.map((name) => pattern.test(name))',
      { expression, names },
      { timeout: MOST_MS },
    );
    return new Set(names.filter((_, index) => fits[index]));
  } catch (cause) {
    throw wrongParameter(
      'name',
      expression,
      'It must be a regular expression that is quick to look for',
      cause,
    );
  }
}
