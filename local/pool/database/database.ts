import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { XapiFailure } from '../failure.ts';
import { emptyValue, fieldsOf } from './datamodel.ts';
import { History } from './history.ts';
import { hasCome, type Release } from './release.ts';
import { storable } from './storable.ts';
import { isMap, type Row, type Value } from './value.ts';

/** `[class, field]` lists the objects of `[class, field]` that point to it; xapi's database keeps these by itself. */
const RELATIONS = [
  ['VM', 'VBDs', 'VBD', 'VM'],
  ['VM', 'VIFs', 'VIF', 'VM'],
  ['VM', 'snapshots', 'VM', 'snapshot_of'],
  ['VM', 'children', 'VM', 'parent'],
  ['VDI', 'VBDs', 'VBD', 'VDI'],
  ['VDI', 'snapshots', 'VDI', 'snapshot_of'],
  ['SR', 'VDIs', 'VDI', 'SR'],
  ['SR', 'PBDs', 'PBD', 'SR'],
  ['host', 'PBDs', 'PBD', 'host'],
  ['host', 'resident_VMs', 'VM', 'resident_on'],
  ['task', 'subtasks', 'task', 'subtask_of'],
  ['session', 'tasks', 'task', 'session'],
  ['network', 'VIFs', 'VIF', 'network'],
  ['network', 'PIFs', 'PIF', 'network'],
  ['host', 'PIFs', 'PIF', 'host'],
  ['VM', 'VTPMs', 'VTPM', 'VM'],
] as const;

/** All objects by class and reference. */
export type Backup = ReadonlyMap<string, ReadonlyMap<string, Row>>;

/**
 * The pool's database. All writes go through `set`, which keeps the lists of referring objects. Fields beside the
 * data model's (a VBD's `reserved`, a task's `session`) are kept but never shown.
 */
export class Database {
  readonly #tables = new Map<string, Map<string, Row>>();
  readonly #uuids = new Map<string, string>();
  readonly #referrers = new Map<string, Map<string, Set<string>>>();

  /** The history of the data model's fields; changes of any others are not recorded. */
  readonly history = new History();
  readonly #release: Release;

  constructor(release: Release) {
    this.#release = release;
  }

  /** Adds an object; references are random and never equal to the UUID. */
  create(className: string, values: Row): string {
    const ref = `OpaqueRef:${randomUUID()}`;
    const row: Row = {};
    for (const [field, type] of Object.entries(fieldsOf(className))) row[field] = emptyValue(type);
    Object.assign(row, { uuid: randomUUID() }, storable(values));
    this.#add(className, ref, row);
    return ref;
  }

  #add(className: string, ref: string, row: Row): void {
    this.#table(className).set(ref, row);
    this.#uuids.set(`${className}/${row.uuid}`, ref);
    for (const [field, value] of Object.entries(row)) this.#relate(className, ref, field, undefined, value);
    this.history.note(className, 'add', ref);
  }

  has(className: string, ref: string): boolean {
    return this.#table(className).has(ref);
  }

  refs(className: string): string[] {
    return [...this.#table(className).keys()];
  }

  /** @throws XapiFailure HANDLE_INVALID */
  row(className: string, ref: string): Readonly<Row> {
    const row = this.#table(className).get(ref);
    if (!row) throw new XapiFailure('HANDLE_INVALID', className, ref);
    return row;
  }

  get(className: string, ref: string, field: string): Value {
    const row = this.row(className, ref);
    const relation = RELATIONS.find(([owner, list]) => owner === className && list === field);
    if (relation) return this.referrers(relation[2], relation[3], ref);
    return row[field] ?? '';
  }

  text(className: string, ref: string, field: string): string {
    return String(this.get(className, ref, field));
  }

  flag(className: string, ref: string, field: string): boolean {
    return this.get(className, ref, field) === true;
  }

  list(className: string, ref: string, field: string): string[] {
    const value = this.get(className, ref, field);
    return Array.isArray(value) ? value.map(String) : [];
  }

  /** A copy of a map field. */
  map(className: string, ref: string, field: string): Record<string, string> {
    const value = this.get(className, ref, field);
    return isMap(value) ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, String(v)])) : {};
  }

  /** @throws XapiFailure HANDLE_INVALID */
  set(className: string, ref: string, field: string, written: Value): void {
    const value = storable(written);
    const row = this.#table(className).get(ref);
    if (!row) throw new XapiFailure('HANDLE_INVALID', className, ref);
    const before = row[field];
    if (isDeepStrictEqual(before, value)) return;
    row[field] = value;
    this.#relate(className, ref, field, before, value);
    if (field in fieldsOf(className)) this.history.note(className, 'mod', ref);
  }

  update(className: string, ref: string, values: Row): void {
    for (const [field, value] of Object.entries(values)) this.set(className, ref, field, value);
  }

  destroy(className: string, ref: string): void {
    const row = this.row(className, ref);
    for (const [field, value] of Object.entries(row)) this.#relate(className, ref, field, value, undefined);
    this.#uuids.delete(`${className}/${row.uuid}`);
    this.#table(className).delete(ref);
    this.history.note(className, 'del', ref);
  }

  /** @throws XapiFailure UUID_INVALID */
  byUuid(className: string, uuid: string): string {
    const ref = this.#uuids.get(`${className}/${uuid}`);
    if (!ref) throw new XapiFailure('UUID_INVALID', className, uuid);
    return ref;
  }

  /** The objects whose `field` is `ref`. */
  referrers(className: string, field: string, ref: string): string[] {
    return [...(this.#referrers.get(`${className}.${field}`)?.get(ref) ?? [])];
  }

  backUp(): Backup {
    return structuredClone(this.#tables);
  }

  /** Puts everything back as it was; watchers see what differs as changed. */
  restore(backup: Backup): void {
    for (const [className, rows] of backup) {
      const table = this.#table(className);
      for (const ref of [...table.keys()]) if (!rows.has(ref)) this.destroy(className, ref);
      for (const [ref, row] of structuredClone(rows)) {
        if (table.has(ref)) this.update(className, ref, row);
        else this.#add(className, ref, row);
      }
    }
  }

  /** The record as `get_record` answers it: the data model's fields that the release has, in their order. */
  record(className: string, ref: string): Row {
    this.row(className, ref);
    return Object.fromEntries(
      Object.keys(fieldsOf(className))
        .filter((field) => hasCome(this.#release, `${className}.${field}`))
        .map((field) => [field, this.get(className, ref, field)]),
    );
  }

  #table(className: string): Map<string, Row> {
    let table = this.#tables.get(className);
    if (!table) {
      table = new Map();
      this.#tables.set(className, table);
    }
    return table;
  }

  #relate(className: string, ref: string, field: string, before?: Value, after?: Value): void {
    const relation = RELATIONS.find(([, , from, pointer]) => from === className && pointer === field);
    if (!relation) return;
    const key = `${className}.${field}`;
    const index = this.#referrers.get(key) ?? new Map<string, Set<string>>();
    this.#referrers.set(key, index);
    if (typeof before === 'string') index.get(before)?.delete(ref);
    if (typeof after === 'string') index.set(after, (index.get(after) ?? new Set<string>()).add(ref));
    for (const pointed of [before, after]) this.#touch(relation[0], pointed);
  }

  /** The lists of referring objects are fields of the database too: who is pointed to has changed with them. */
  #touch(className: string, ref: Value | undefined): void {
    if (typeof ref === 'string' && this.has(className, ref)) this.history.note(className, 'mod', ref);
  }
}
