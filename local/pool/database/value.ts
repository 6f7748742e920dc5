/**
 * A value as the pool's database holds it and the wire carries it. Integers are strings in the database and in what it
 * answers over XML-RPC; a number is a float. A bigint is an integer as a caller sent it, as JSON-RPC answers it, or one
 * of the few that XML-RPC has as `<i4>`.
 */
export type Value = string | boolean | number | bigint | Date | Value[] | { [key: string]: Value };

/** One object's fields. */
export type Row = Record<string, Value>;

export const NULL_REF = 'OpaqueRef:NULL';

/** xapi's "never": the epoch, for example of a pending task's `finished`. */
export const EPOCH = new Date(0);

/** `20261124T06:10:42Z`, the basic format that xapi writes; whole seconds only. */
export function formatDate(date: Date): string {
  return date
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/-/g, '');
}

/** `%.16g` of C, for the numbers that occur here. */
export function formatFloat(value: number): string {
  return Number.isFinite(value) ? Number(value.toPrecision(16)).toString() : 'NaN';
}

export function isMap(value: Value | undefined): value is { [key: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
