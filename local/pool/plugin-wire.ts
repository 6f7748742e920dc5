import { XapiFailure } from './failure.ts';
import { elements, escapeXml, parseXml, textOf, type XmlElement, XmlError } from './xml.ts';
import { only } from './xmlrpc.ts';

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
 * Reads what a plugin printed: one XML-RPC response and not a byte beside it. A value that is not a string is an error
 * inside xapi, not a failure of the plugin.
 */
export function readOutput(stdout: string): string {
  let response: XmlElement;
  try {
    response = parseXml(stdout);
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    throw new XapiFailure('XENAPI_PLUGIN_FAILURE', 'failed to parse plugin output', stdout, error.message);
  }
  const [body] = elements(response);
  if (response.tag !== 'methodResponse' || !body) throw typeError('methodResponse');
  if (body.tag === 'fault') {
    const fault = members(only(only(body)));
    const [code, reason] = [fault.get('faultCode'), fault.get('faultString')];
    throw new XapiFailure(
      'XENAPI_PLUGIN_FAILURE',
      'fault',
      code ? textOf(only(code)) : '',
      reason ? stringOf(reason) : '',
    );
  }
  const values = elements(body).map(only);
  const [value] = values;
  if (!value || values.length > 1)
    throw new XapiFailure('XENAPI_PLUGIN_FAILURE', 'unexpected XMLRPC result', stdout);
  const result = members(only(value));
  const status = result.get('Status');
  if (status && stringOf(status) === 'Failure') {
    const description = result.get('ErrorDescription');
    const [code = '', ...params] = description ? elements(only(only(description))).map(stringOf) : [];
    throw new XapiFailure(code, ...params);
  }
  const found = result.get('Value');
  if (!found) throw typeError('Value');
  return stringOf(found);
}

function members(struct: XmlElement): Map<string, XmlElement> {
  return new Map(
    elements(struct).flatMap((member) => {
      const [name, value] = elements(member);
      return name && value ? [[textOf(name), value] as const] : [];
    }),
  );
}

function stringOf(value: XmlElement): string {
  const [typed] = elements(value);
  if (!typed) return textOf(value);
  if (typed.tag !== 'string') throw typeError('string');
  return textOf(typed);
}

function typeError(expected: string): XapiFailure {
  return new XapiFailure('INTERNAL_ERROR', `XMLRPC.RunTimeTypeError("${expected}", _)`);
}
