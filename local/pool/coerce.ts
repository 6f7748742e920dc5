import type { Param } from './datamodel.ts';
import { XapiFailure } from './failure.ts';
import { formatFloat, isMap, type Value } from './value.ts';

/**
 * Reads an argument as its parameter's type; nothing is converted but integers, which callers may send as `<int>` or
 * as strings. A string where a number was sent is a caller's bug that xapi refuses.
 * @throws XapiFailure XMLRPC_UNMARSHAL_FAILURE
 */
export function coerce({ name, type }: Param, value: Value): Value {
  const fail = (): never => {
    throw new XapiFailure('XMLRPC_UNMARSHAL_FAILURE', type, name);
  };
  if (type.endsWith(' set')) {
    const item = { name, type: type.slice(0, -' set'.length), optional: false };
    return Array.isArray(value) ? value.map((each) => coerce(item, each)) : fail();
  }
  const [, of] = /^\(.* -> (.*)\) map$/.exec(type) ?? [];
  if (of !== undefined) {
    if (!isMap(value)) return fail();
    const item = { name, type: of, optional: false };
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, coerce(item, each)]));
  }
  if (type.endsWith(' record')) return isMap(value) ? value : fail();
  switch (type) {
    case 'int':
      if (typeof value === 'number' && Number.isInteger(value)) return formatFloat(value);
      return typeof value === 'string' && /^-?\d+$/.test(value) ? value : fail();
    case 'float':
      return typeof value === 'number' ? value : fail();
    case 'bool':
      return typeof value === 'boolean' ? value : fail();
    case 'datetime':
      return value instanceof Date ? value : fail();
    default:
      return typeof value === 'string' ? value : fail();
  }
}
