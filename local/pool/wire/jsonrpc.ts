import { formatDate, isMap, type Value } from '../database/value.ts';
import { withIntegers } from './integers.ts';

/** A call over JSON-RPC, in either of the versions that xapi speaks (ocaml-rpc's jsonrpc.ml). */
export interface JsonCall {
  readonly version: 1 | 2;
  readonly id: unknown;
  readonly method: string;
  readonly params: Value[];
}

/** @throws Error when the body is not a JSON-RPC call */
export function decodeJsonCall(body: string): JsonCall {
  const call: unknown = JSON.parse(body);
  if (typeof call !== 'object' || call === null || !('method' in call) || typeof call.method !== 'string')
    throw new Error('not a JSON-RPC call');
  const params = 'params' in call ? call.params : [];
  if (!Array.isArray(params)) throw new Error('the parameters of a JSON-RPC call are a list here');
  return {
    version: 'jsonrpc' in call && call.jsonrpc === '2.0' ? 2 : 1,
    id: 'id' in call ? call.id : null,
    method: call.method,
    params: params.map(fromJson),
  };
}

/** @param type of the value, by the data model: integers are numbers here, in both versions */
export function encodeJsonSuccess({ version, id }: JsonCall, value: Value, type: string): string {
  const result = toJson(withIntegers(type, value));
  return JSON.stringify(version === 2 ? { jsonrpc: '2.0', result, id } : { result, error: null, id });
}

/** Version 1 has the ErrorDescription as it is, version 2 its code as the message (api_server.ml). */
export function encodeJsonFailure({ version, id }: JsonCall, description: readonly string[]): string {
  const [message, ...data] = description;
  return JSON.stringify(
    version === 2
      ? { jsonrpc: '2.0', error: { code: 1, message, data }, id }
      : { result: null, error: description, id },
  );
}

function fromJson(value: unknown): Value {
  if (value === null) return '';
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromJson(item)]));
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  return value as string | number | boolean;
}

/** Dates become strings. */
function toJson(value: Value): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Date) return formatDate(value);
  if (Array.isArray(value)) return value.map(toJson);
  if (isMap(value))
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]));
  return value;
}
