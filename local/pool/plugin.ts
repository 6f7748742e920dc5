import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { XapiFailure } from './failure.ts';
import type { Host, PoolState } from './state.ts';
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
 * `host.call_plugin` (xapi_plugins.ml): executes the file in the host's plugin folder with one argument and no standard
 * input, however long it takes, whether or not the caller is still there, and reads its standard output. The
 * environment names the simulated control domain's root; of a real one a plugin gets no environment.
 */
export async function callPlugin(
  pool: PoolState,
  host: Host,
  session: string,
  plugin: string,
  fn: string,
  args: Record<string, string>,
): Promise<string> {
  const folder = join(host.dom0Root, 'etc/xapi.d/plugins');
  const installed = await readdir(folder).catch((): string[] => []);
  if (!installed.includes(plugin)) throw new XapiFailure('XENAPI_MISSING_PLUGIN', plugin);
  const { code, signal, stdout, stderr } = await execute(
    pool,
    join(folder, plugin),
    encodePluginCall(fn, session, args),
    { PATH: process.env.PATH ?? '/usr/bin:/bin', XENSNAP_DOM0_ROOT: host.dom0Root },
  );
  if (signal) throw new XapiFailure('XENAPI_PLUGIN_FAILURE', `signal: ${signal}`, stdout, stderr);
  if (code !== 0) throw new XapiFailure('XENAPI_PLUGIN_FAILURE', 'non-zero exit', stdout, stderr);
  return readOutput(stdout);
}

interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

function execute(pool: PoolState, file: string, call: string, env: Record<string, string>): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    // A process group of its own: it lives on when a terminal stops the pool, and is ended as a whole.
    const child = spawn(file, [call], { cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    pool.plugins.add(child);
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output.stderr += text;
    });
    child.on('error', (error) => {
      pool.plugins.delete(child);
      reject(error);
    });
    child.on('close', (code, signal) => {
      pool.plugins.delete(child);
      resolve({ code, signal, ...output });
    });
  });
}

/** Ends the plugins that still run, with what they have started. */
export function killPlugins({ plugins }: PoolState): void {
  for (const { pid } of plugins) {
    try {
      if (pid !== undefined) process.kill(-pid, constants.signals.SIGKILL);
    } catch {
      // It has ended by itself.
    }
  }
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
