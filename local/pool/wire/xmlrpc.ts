import { formatDate, formatFloat, type Value } from '../database/value.ts';
import { elements, escapeXml, parseXml, textOf, type XmlElement, XmlError } from './xml.ts';

const DECLARATION = '<?xml version="1.0"?>';

/** A value as ocaml-rpc writes it: strings bare, nothing between the tags. */
export function encodeValue(value: Value): string {
  return `<value>${encodeBare(value)}</value>`;
}

function encodeBare(value: Value): string {
  if (typeof value === 'string') return escapeXml(value);
  if (typeof value === 'boolean') return `<boolean>${value ? 1 : 0}</boolean>`;
  if (typeof value === 'bigint') return `<i4>${value}</i4>`;
  if (typeof value === 'number') return `<double>${formatFloat(value)}</double>`;
  if (value instanceof Date) return `<dateTime.iso8601>${formatDate(value)}</dateTime.iso8601>`;
  if (Array.isArray(value)) return `<array><data>${value.map(encodeValue).join('')}</data></array>`;
  // ocaml-rpc's xmlrpc.ml does not escape names: a key with `<` or `&` makes the whole answer malformed.
  const members = Object.entries(value).map(
    ([name, member]) => `<member><name>${name}</name>${encodeValue(member)}</member>`,
  );
  return `<struct>${members.join('')}</struct>`;
}

/** A response whose value is not wrapped in Status: only `system.listMethods` gets one. */
export function encodeRaw(value: Value): string {
  return `${DECLARATION}<methodResponse><params><param>${encodeValue(value)}</param></params></methodResponse>`;
}

export function encodeSuccess(value: Value): string {
  return encodeRaw({ Status: 'Success', Value: value });
}

export function encodeFailure(description: string[]): string {
  return encodeRaw({ Status: 'Failure', ErrorDescription: description });
}

export interface MethodCall {
  readonly method: string;
  readonly params: Value[];
}

/** @throws XmlError when the body is not an XML-RPC call */
export function decodeCall(body: string): MethodCall {
  const call = parseXml(body);
  const [name, params] = elements(call);
  if (call.tag !== 'methodCall' || name?.tag !== 'methodName') throw new XmlError('not a methodCall');
  return {
    method: textOf(name).trim(),
    params: params ? elements(params).map((param) => decodeValue(only(param))) : [],
  };
}

/** The single element in `parent`. */
function only(parent: XmlElement): XmlElement {
  const [element, ...rest] = elements(parent);
  if (!element || rest.length > 0) throw new XmlError(`<${parent.tag}> should hold one element`);
  return element;
}

/** Reads a `<value>`: bare or typed strings; an `<int>` is a bigint, a `<double>` a number. */
export function decodeValue(element: XmlElement): Value {
  if (element.tag !== 'value') throw new XmlError(`expected <value>, found <${element.tag}>`);
  const [typed, ...rest] = elements(element);
  if (!typed) return textOf(element);
  if (rest.length > 0) throw new XmlError('more than one element in a <value>');
  const text = textOf(typed);
  switch (typed.tag) {
    case 'string':
      return text;
    case 'boolean':
      return text.trim() === '1';
    case 'int':
    case 'i4':
    case 'i8':
      if (!/^\s*[+-]?\d+\s*$/.test(text)) throw new XmlError(`not an integer: ${text}`);
      return BigInt(text.trim().replace('+', ''));
    case 'double': {
      const number = Number(text);
      if (text.trim() === '' || Number.isNaN(number)) throw new XmlError(`not a number: ${text}`);
      return number;
    }
    case 'dateTime.iso8601':
      return decodeDate(text.trim());
    case 'array':
      return elements(only(typed)).map(decodeValue);
    case 'struct':
      return Object.fromEntries(
        elements(typed).map((member) => {
          const [name, value] = elements(member);
          if (!name || !value) throw new XmlError('malformed <member>');
          return [textOf(name), decodeValue(value)];
        }),
      );
    default:
      throw new XmlError(`unknown type <${typed.tag}>`);
  }
}

function decodeDate(text: string): Date {
  const parts = /^(\d{4})-?(\d\d)-?(\d\d)T(\d\d):(\d\d):(\d\d)/.exec(text);
  if (!parts) throw new XmlError(`not a date: ${text}`);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1).map(Number);
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second));
}
