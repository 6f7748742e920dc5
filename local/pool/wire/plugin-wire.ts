import { XapiFailure } from '../failure.ts';
import { elements, escapeXml, parseXml, textOf, type XmlElement, XmlError } from './xml.ts';

/** `XMLRPC.To.string` of xapi: bare, and an empty element for an empty string. */
function stringValue(text: string): string {
  return text === '' ? '<value/>' : `<value>${escapeXml(text)}</value>`;
}

/** The one argument that a plugin gets. */
export function encodePluginCall(fn: string, session: string, args: Record<string, string>): string {
  const members = Object.entries(args).map(
    ([key, value]) => `<member><name>${escapeXml(key)}</name>${stringValue(value)}</member>`,
  );
  const struct = members.length === 0 ? '<struct/>' : `<struct>${members.join('')}</struct>`;
  const params = [stringValue(session), `<value>${struct}</value>`].map((value) => `<param>${value}</param>`);
  return `<methodCall><methodName>${escapeXml(fn)}</methodName><params>${params.join('')}</params></methodCall>`;
}

/**
 * Reads what a plugin printed, as xapi's own reader does (xMLRPC.ml): one XML-RPC response and not a byte beside it. A
 * response without a Status, or with a Value that is not a string, is an error inside xapi, not one of the plugin.
 */
export function readOutput(stdout: string): string {
  let response: XmlElement;
  try {
    response = parseXml(stdout);
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    throw new XapiFailure('XENAPI_PLUGIN_FAILURE', 'failed to parse plugin output', stdout, error.message);
  }
  const body = single(response, 'methodResponse');
  if (body instanceof Object && body.tag === 'fault') {
    const fault = structure(single(body, 'fault'));
    const [code, reason] = [fault.get('faultCode'), fault.get('faultString')];
    const number = code ? single(single(code, 'value'), 'i4', 'int') : '';
    throw new XapiFailure('XENAPI_PLUGIN_FAILURE', 'fault', String(number), reason ? stringOf(reason) : '');
  }
  const values = contents(body, 'params').map((param) => single(param, 'param'));
  const [value] = values;
  if (!value || values.length > 1)
    throw new XapiFailure('XENAPI_PLUGIN_FAILURE', 'unexpected XMLRPC result', stdout);
  const result = structure(value);
  const [status, found, description] = ['Status', 'Value', 'ErrorDescription'].map((key) => result.get(key));
  const word = status && stringOf(status);
  if (word === 'Success' && found) return stringOf(found);
  if (word !== 'Failure' || !description) throw typeError('Status');
  const [code, ...params] = contents(single(single(description, 'value'), 'array'), 'data').map(stringOf);
  if (code === undefined) throw typeError('Empty array of error strings');
  throw new XapiFailure(code, ...params);
}

/** An element or a text; white space between elements does not count. */
type Node = XmlElement | string;

/** What is in an element, which has to have one of the names. */
function contents(node: Node, ...tags: string[]): Node[] {
  if (typeof node === 'string' || !tags.includes(node.tag)) {
    const found = typeof node === 'string' ? `PCData=${node}` : `Element=${node.tag}`;
    throw typeError(`unbox: ${found} should contain '${tags[0]}'`);
  }
  const hasElements = elements(node).length > 0;
  return node.children.filter((child) => typeof child !== 'string' || !hasElements || child.trim() !== '');
}

function single(node: Node, ...tags: string[]): Node {
  const [only, ...rest] = contents(node, ...tags);
  if (only !== undefined && rest.length === 0) return only;
  const found = contents(node, ...tags).map((each) =>
    typeof each === 'string' ? `PCData=${each}` : `Element=${each.tag}`,
  );
  throw typeError(`singleton: {${found.join(', ')}} should be the singleton {${tags[0]}}`);
}

function structure(value: Node): Map<string, Node> {
  return new Map(
    contents(single(value, 'value'), 'struct').map((member) => {
      const [name, item] = contents(member, 'member');
      if (name === undefined || item === undefined) throw typeError('pair ');
      return [contents(name, 'name').join(''), item] as const;
    }),
  );
}

function stringOf(value: Node): string {
  if (typeof value !== 'string' && value.tag === 'value' && elements(value).length === 0)
    return textOf(value);
  const typed = single(value, 'value');
  if (typeof typed !== 'string' && typed.tag === 'string' && typed.children.length === 0) return '';
  const text = single(typed, 'string');
  if (typeof text !== 'string') throw typeError('pcdata');
  return text;
}

/** OCaml's way to print the exception. */
function typeError(what: string): XapiFailure {
  return new XapiFailure('INTERNAL_ERROR', `XMLRPC.RunTimeTypeError("${what.replace(/["\\]/g, '\\$&')}", _)`);
}
