import { XapiFailure } from '../failure.ts';
import { isMap, type Value } from './value.ts';

const NO_XML = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u;

/**
 * A value as xapi's database takes it: text ends before the first character that XML does not have, and no map has an
 * empty key (db_cache_impl.ml, string_marshall_helper.ml).
 * @throws XapiFailure INTERNAL_ERROR for the key
 */
export function storable<T extends Value>(value: T): T;
export function storable(value: Value): Value {
  if (typeof value === 'string') return value.split(NO_XML, 1)[0] ?? '';
  if (Array.isArray(value)) return value.map((item) => storable(item));
  if (!isMap(value)) return value;
  if ('' in value) throw new XapiFailure('INTERNAL_ERROR', 'Db_exn.Empty_key_in_map');
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [storable(key), storable(item)]));
}
