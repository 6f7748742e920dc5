import { classNames, fieldsOf, valueTypeOf } from '../database/datamodel.ts';
import { isMap, type Value } from '../database/value.ts';

/**
 * A value whose integers are numbers, as JSON-RPC has them: the database and XML-RPC have them as strings, and only the
 * type tells them from text.
 */
export function withIntegers(type: string, value: Value): Value {
  if (type === 'int') return typeof value === 'string' && value !== '' ? BigInt(value) : value;
  if (type.endsWith(' set')) {
    const of = type.slice(0, -' set'.length);
    return Array.isArray(value) ? value.map((item) => withIntegers(of, item)) : value;
  }
  const of = valueTypeOf(type);
  if (of !== undefined) return mapValues(value, (item) => withIntegers(of, item));
  const [, className = ''] = /^(\w+) record$/.exec(type) ?? [];
  if (className === 'event') return eventWithIntegers(value);
  const fields = fieldsOf(className);
  if (className !== '') return mapValues(value, (item, field) => withIntegers(fields[field] ?? '', item));
  if (type !== 'an event batch') return value;
  return mapValues(value, (item, key) => (key === 'events' ? withIntegers('event record set', item) : item));
}

/** An event names the class of its snapshot in lower case. */
function eventWithIntegers(event: Value): Value {
  const name = isMap(event) ? String(event.class) : '';
  const className = classNames.find((each) => each.toLowerCase() === name) ?? '';
  return mapValues(event, (item, key) =>
    key === 'snapshot' ? withIntegers(`${className} record`, item) : item,
  );
}

function mapValues(value: Value, change: (item: Value, key: string) => Value): Value {
  if (!isMap(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, change(item, key)]));
}
