import { XapiFailure } from '../failure.ts';
import { formatDate, formatFloat, isMap, type Value } from './value.ts';

/** Decides whether an object fits; `read` gives a field's database text, undefined for a field that does not exist. */
export type Filter = (read: (field: string) => string | undefined) => boolean;

/**
 * Reads an expression of `get_all_records_where` (db_filter_parse.mly): values are `"literal"` and `field "name"`,
 * compared with `=`, joined by `and`, `or`, `not` and brackets. `and` and `or` bind alike, from the left; `not` takes
 * all that follows it.
 * @throws XapiFailure INVALID_VALUE
 */
export function parseFilter(text: string): Filter {
  const tokens: { word?: string; literal?: string }[] = [];
  const matcher = /\s*(?:"([^"]*)"|(=|\(|\))|(field|and|or|not|true|false))/y;
  const fail = (): never => {
    throw new XapiFailure('INVALID_VALUE', text, 'Stdlib.Parsing.Parse_error');
  };
  let at = 0;
  while (text.slice(at).trim() !== '') {
    matcher.lastIndex = at;
    const match = matcher.exec(text);
    if (!match) return fail();
    at = matcher.lastIndex;
    const [, literal, sign, word] = match;
    tokens.push(literal === undefined ? { word: sign ?? word ?? '' } : { literal });
  }
  let next = 0;
  const take = (word: string): boolean => {
    if (tokens[next]?.word !== word) return false;
    next += 1;
    return true;
  };
  const literal = (): string => tokens[next++]?.literal ?? fail();
  const value = (): ((read: (field: string) => string | undefined) => string) => {
    if (!take('field')) {
      const text = literal();
      return () => text;
    }
    const field = literal();
    return (read) => {
      const found = read(field);
      if (found === undefined) throw new XapiFailure('INTERNAL_ERROR', 'missing field', field, '');
      return found;
    };
  };
  const factor = (): Filter => {
    if (take('not')) {
      const inner = expression();
      return (read) => !inner(read);
    }
    if (take('true')) return () => true;
    if (take('false')) return () => false;
    if (take('(')) {
      const inner = expression();
      return take(')') ? inner : fail();
    }
    const left = value();
    if (!take('=')) return fail();
    const right = value();
    return (read) => left(read) === right(read);
  };
  const expression = (): Filter => {
    let filter = factor();
    for (;;) {
      const left = filter;
      if (take('and')) {
        const right = factor();
        filter = (read) => left(read) && right(read);
      } else if (take('or')) {
        const right = factor();
        filter = (read) => left(read) || right(read);
      } else return filter;
    }
  };
  const filter = expression();
  return next === tokens.length ? filter : fail();
}

/** The database's column for an API field: `name_label` and `name_description` are in a namespace there. */
export function columnName(field: string): string {
  return field.replace(/^name_(label|description)$/, 'name__$1');
}

/** A value as the database writes it: what filters compare with and what `snapshot_metadata` holds. */
export function databaseText(value: Value): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number') return formatFloat(value);
  if (value instanceof Date) return formatDate(value);
  const quote = (item: Value): string => `'${databaseText(item).replace(/['\\]/g, '\\$&')}'`;
  if (Array.isArray(value)) return `(${value.map(quote).join(' ')})`;
  if (isMap(value)) {
    return `(${Object.entries(value)
      .map(([key, item]) => `(${quote(key)} ${quote(item)})`)
      .join(' ')})`;
  }
  return '';
}
