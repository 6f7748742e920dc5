import { XapiFailure } from '../failure.ts';
import type { Param } from './datamodel.ts';
import { fieldsOf, valueTypeOf } from './datamodel.ts';
import { ENUMS } from './enums.ts';
import { formatDate, formatFloat, isMap, type Value } from './value.ts';

/**
 * Reads an argument as its parameter's type, as ocaml-rpc does: integers come as `<int>` or as strings, floats also as
 * integers; anything else of a wrong type is an error inside xapi.
 * @throws XapiFailure INTERNAL_ERROR with the reader's own words
 */
export function coerce({ type }: Pick<Param, 'type'>, value: Value): Value {
  if (type.endsWith(' set')) {
    const of = { type: type.slice(0, -' set'.length) };
    return Array.isArray(value) ? value.map((each) => coerce(of, each)) : expecting('Rpc.Enum', value);
  }
  const of = valueTypeOf(type);
  if (of !== undefined) return isMap(value) ? mapFields(value, () => of) : expecting('Rpc.Dict', value);
  if (type.endsWith(' record')) {
    if (!isMap(value)) throw internal('Expected Dictionary');
    const fields = fieldsOf(type.slice(0, -' record'.length));
    return mapFields(value, (field) => fields[field]);
  }
  switch (type) {
    case 'int':
      if (typeof value === 'bigint') return String(value);
      if (typeof value !== 'string') return expected('int64', value);
      if (!/^-?\d+$/.test(value)) throw internal('Int64.of_string');
      return value;
    case 'float':
      if (typeof value === 'bigint') return Number(value);
      if (typeof value === 'number') return value;
      if (typeof value !== 'string') return expected('float', value);
      if (value.trim() === '' || Number.isNaN(Number(value))) throw internal('float_of_string');
      return Number(value);
    case 'bool':
      return typeof value === 'boolean' ? value : expected('bool', value);
    case 'datetime':
      return value instanceof Date ? value : expected('DateTime', value);
    default:
      if (type.startsWith('enum ')) return member(type.slice('enum '.length), value);
      return typeof value === 'string' ? value : expected('string', value);
  }
}

/** A value of an enumeration, in any case of its letters, as ocaml-rpc reads it. */
function member(name: string, value: Value): Value {
  if (typeof value !== 'string') return expected('string', value);
  const values = ENUMS[name];
  if (!values) return value;
  const found = values.find((each) => each.toLowerCase() === value.toLowerCase());
  if (found === undefined) throw internal('Unknown tag/contents');
  return found;
}

/** What is no field of the record is read over. */
function mapFields(value: { [key: string]: Value }, typeOf: (key: string) => string | undefined): Value {
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => {
      const type = typeOf(key);
      return [key, type === undefined ? each : coerce({ type }, each)];
    }),
  );
}

function expected(type: string, value: Value): never {
  throw internal(`Expected ${type}, got '${describe(value)}'`);
}

function expecting(type: string, value: Value): never {
  throw internal(`Expecting ${type}, but found '${describe(value)}'`);
}

/** OCaml's way to print the exception. */
function internal(message: string): XapiFailure {
  return new XapiFailure('INTERNAL_ERROR', `Failure("${message.replace(/["\\]/g, '\\$&')}")`);
}

/** A value as ocaml-rpc's `Rpc.to_string` writes it. */
function describe(value: Value): string {
  if (typeof value === 'string') return `S(${value})`;
  if (typeof value === 'bigint') return `I(${value})`;
  if (typeof value === 'number') return `F(${formatFloat(value)})`;
  if (typeof value === 'boolean') return `B(${value})`;
  if (value instanceof Date) return `D(${formatDate(value)})`;
  if (Array.isArray(value)) return `[${value.map(describe).join(';')}]`;
  return `{${Object.entries(value)
    .map(([key, item]) => `${key}:${describe(item)}`)
    .join(';')}}`;
}
