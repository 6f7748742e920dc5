import { XapiFailure } from '../failure.ts';
import type { Database } from './database.ts';
import type { Call } from './datamodel.ts';
import { fieldsOf } from './datamodel.ts';
import { columnName, databaseText, parseFilter } from './filter.ts';
import { isMap, type Row, type Value } from './value.ts';

/**
 * The messages that xapi generates for every class: getters, setters, `add_to_`, `remove_from_`, lists and records.
 * They touch the database and nothing else: adding to a running VM's `xenstore_data` does not reach its guest
 * (gen_empty_custom.ml).
 * @throws XapiFailure NOT_IMPLEMENTED for a call of xapi that this pool does not have
 */
export function genericCall(db: Database, { className, name }: Call, args: readonly Value[]): Value {
  const message = name.slice(className.length + 1);
  const [first = '', second = '', third = ''] = args;
  const ref = String(first);
  switch (message) {
    case 'get_all':
      return db.refs(className);
    case 'get_all_records':
      return records(db, className, () => true);
    case 'get_all_records_where':
      return recordsWhere(db, className, ref);
    case 'get_record':
      return db.record(className, ref);
    case 'get_by_uuid':
      return db.byUuid(className, ref);
    case 'get_by_name_label':
      return db.refs(className).filter((each) => db.text(className, each, 'name_label') === ref);
  }
  const [, verb, field = ''] = /^(get|set|add_to|remove_from|add|remove)_(.+)$/.exec(message) ?? [];
  if (!verb || !(field in fieldsOf(className))) throw new XapiFailure('NOT_IMPLEMENTED', name);
  if (verb === 'get') return db.get(className, ref, field);
  if (verb === 'set') db.set(className, ref, field, second);
  else if (verb === 'add')
    db.set(className, ref, field, union(db.list(className, ref, field), String(second)));
  else if (verb === 'remove') {
    db.set(
      className,
      ref,
      field,
      db.list(className, ref, field).filter((item) => item !== second),
    );
  } else if (verb === 'add_to') addToMap(db, className, ref, field, String(second), third);
  else removeFromMap(db, className, ref, field, String(second));
  return '';
}

function addToMap(
  db: Database,
  className: string,
  ref: string,
  field: string,
  key: string,
  value: Value,
): void {
  const map = db.get(className, ref, field);
  if (!isMap(map)) throw new XapiFailure('FIELD_TYPE_ERROR', field);
  if (key in map) throw new XapiFailure('MAP_DUPLICATE_KEY', className, field, ref, key);
  db.set(className, ref, field, { ...map, [key]: value });
}

/** Removing what is not there is no error, and says nothing about who put it there. */
function removeFromMap(db: Database, className: string, ref: string, field: string, key: string): void {
  const map = db.get(className, ref, field);
  if (!isMap(map)) throw new XapiFailure('FIELD_TYPE_ERROR', field);
  const { [key]: _gone, ...rest } = map;
  db.set(className, ref, field, rest);
}

function union(items: string[], item: string): string[] {
  return items.includes(item) ? items : [...items, item];
}

function records(db: Database, className: string, fits: (record: Row) => boolean): Row {
  const found: Row = {};
  for (const ref of db.refs(className)) {
    const record = db.record(className, ref);
    if (fits(record)) found[ref] = record;
  }
  return found;
}

function recordsWhere(db: Database, className: string, expression: string): Row {
  const filter = parseFilter(expression);
  const columns = new Map(Object.keys(fieldsOf(className)).map((field) => [columnName(field), field]));
  return records(db, className, (record) =>
    filter((column) => {
      const field = columns.get(column);
      return field === undefined ? undefined : databaseText(record[field] ?? '');
    }),
  );
}
