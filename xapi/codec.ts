import { setImmediate as nextTurn } from 'node:timers/promises';
import CustomType from 'xmlrpc/lib/customtype.js';
import Deserializer, { type Parser } from 'xmlrpc/lib/deserializer.js';
import serializer from 'xmlrpc/lib/serializer.js';
import { type Deadline, TimeUp } from '../http/deadline.ts';
import { reasonOf } from '../http/reason.ts';
import { isSendable } from './sendable.ts';
import { XapiProtocolError, XapiRequestInvalid } from './transport-errors.ts';
import { XmlShape } from './xml-shape.ts';

/** What XAPI takes on the wire here: its ints are strings too, a number is a float, and nothing that we call takes a date. */
export type WireValue =
  | string
  | boolean
  | number
  | readonly WireValue[]
  | { readonly [key: string]: WireValue };

/** xapi's envelope: `Status` and `Value`, or `Status` and `ErrorDescription` (code, then parameters). */
export type Reply =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly description: readonly string[] };

/**
 * The XML of a call.
 * @throws XapiRequestInvalid, which never quotes the argument, when XML cannot carry one of its characters
 */
export function encodeCall(method: string, args: readonly WireValue[]): string {
  const params = args.map((arg, index) => wired(arg, `${method}: argument ${index + 1}`));
  return serializer.serializeMethodCall(method, params);
}

/**
 * Reads a reply, which comes in pieces. Struct members become own properties, XAPI's ints stay strings, dates are Dates.
 * @param source says in errors whose it is
 * @param deadline is looked at all the time that it is read
 * @throws XapiProtocolError when it is no XML-RPC, has not xapi's envelope, or exceeds what `xmlLimits` says
 * @throws TimeUp, or the reason of the deadline's signal
 */
export async function decodeReply(
  xml: readonly Buffer[],
  source: string,
  deadline: Deadline,
): Promise<Reply> {
  const envelope = await decodeResponse(xml, source, deadline);
  if (isStruct(envelope)) {
    const { Status: status, Value: value, ErrorDescription: description } = envelope;
    if (status === 'Success' && value !== undefined) return { ok: true, value };
    if (status === 'Failure' && isStringArray(description)) return { ok: false, description };
  }
  throw new XapiProtocolError(`${source}: the answer is XML-RPC, but not in the envelope that xapi uses`);
}

class WireString extends CustomType {}
WireString.prototype.tagName = 'string';

/** A whole number, too: the package would make an int of it, which xapi takes for no float. */
class WireFloat extends CustomType {}
WireFloat.prototype.tagName = 'double';

/**
 * Wraps each string so that it is escaped. Left alone the package would put some into CDATA sections, where a
 * carriage return is lost and a second `]]>` breaks the document; and its complaint about a control character quotes
 * the whole string, which may be a password.
 */
function wired(value: WireValue, where: string): unknown {
  if (typeof value === 'boolean') return value;
  if (Number.isFinite(value)) return new WireFloat(String(value));
  if (typeof value === 'string') {
    if (!isSendable(value)) throw new XapiRequestInvalid(`${where} holds a character that XML cannot carry`);
    return value === '' ? value : new WireString(value);
  }
  if (Array.isArray(value)) return value.map((item) => wired(item, where));
  if (!isPlain(value))
    throw new XapiRequestInvalid(
      `${where} holds something else than strings, booleans, numbers, arrays and maps`,
    );
  for (const key of Object.keys(value)) wired(key, where);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, wired(item, where)]));
}

/** What is read without giving way to other work: some 5 ms of it. */
const SLICE_BYTES = 16_384;
/** Length of the XML parser's own message, which may quote the answer. */
const LONGEST_REASON = 200;

/**
 * The package reads from a stream. It gets one of our making instead, so that nothing is read any more once it has found
 * a fault (it would go on to the end), and so that what its parser throws ends up here.
 */
async function decodeResponse(xml: readonly Buffer[], source: string, deadline: Deadline): Promise<unknown> {
  const shape = new XmlShape(xml.reduce((sum, piece) => sum + piece.length, 0));
  let parser: Parser | undefined;
  let found: { error: unknown; value?: unknown } | undefined;
  const stream = {
    setEncoding() {},
    on() {},
    pipe(to: Parser) {
      parser = to;
    },
  };
  try {
    new XapiDeserializer().deserializeMethodResponse(stream, (error, value) => {
      found ??= { error, value };
    });
    for (const slice of slices(xml)) {
      shape.take(slice);
      parser?.write(slice);
      if (found) break;
      await nextTurn();
      deadline.check();
    }
    if (!found) {
      shape.end();
      parser?.end();
    }
    if (found?.value === undefined) throw found?.error ?? new Error('no value in it');
    return found.value;
  } catch (error) {
    if (error instanceof TimeUp || error === deadline.signal?.reason) throw error;
    throw new XapiProtocolError(
      `${source}: this is not XML-RPC: ${reasonOf(error).slice(0, LONGEST_REASON)}`,
    );
  }
}

function* slices(pieces: readonly Buffer[]): Generator<Buffer> {
  for (const piece of pieces)
    for (let at = 0; at < piece.length; at += SLICE_BYTES) yield piece.subarray(at, at + SLICE_BYTES);
}

/** The package's deserializer, with the four readings that it gets wrong for xapi. */
class XapiDeserializer extends Deserializer {
  /** The package reads a date without a zone in the process's time zone; XAPI's are UTC. */
  override endDateTime(text: string): void {
    const [, year, month, day, time, zone = 'Z'] =
      /^(\d{4})-?(\d\d)-?(\d\d)T(\d\d:\d\d:\d\d(?:\.\d+)?)(Z|[+-]\d\d:\d\d)?$/.exec(text.trim()) ?? [];
    const date = new Date(`${year}-${month}-${day}T${time}${zone}`);
    if (Number.isNaN(date.getTime())) throw new Error('a date that is none');
    this.#push(date);
  }

  /** OCaml's `%.16g` also writes `nan` and `inf`, which the package refuses. */
  override endDouble(text: string): void {
    if (/^-?nan$/.test(text)) this.#push(Number.NaN);
    else if (/^-?inf$/.test(text)) this.#push(text === 'inf' ? Infinity : -Infinity);
    else super.endDouble(text);
  }

  /** xapi has no such type; the package would make an object of some 100 bytes even of nothing. */
  override endBase64(): void {
    throw new Error('base64, which xapi does not write');
  }

  /** A key of an operator's map may be any text, `__proto__` too: each becomes a property of its own. */
  override endStruct(): void {
    const items = this.stack.splice(this.marks.pop() ?? 0);
    const entries: [string, unknown][] = [];
    for (let i = 0; i < items.length; i += 2) entries.push([String(items[i]), items[i + 1]]);
    this.#push(Object.fromEntries(entries));
  }

  #push(value: unknown): void {
    this.stack.push(value);
    this.value = false;
  }
}

function isPlain(value: unknown): value is Readonly<Record<string, WireValue>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function isStruct(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function isStringArray(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
