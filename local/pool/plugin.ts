import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { XapiFailure } from './failure.ts';
import { pluginPath } from './interpreter.ts';
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
    host,
    join(folder, plugin),
    encodePluginCall(fn, session, args),
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

/**
 * The output goes to files, as in a real control domain: what the plugin leaves running behind it may keep them open
 * without holding up the answer.
 */
async function execute(pool: PoolState, { dom0Root }: Host, file: string, call: string): Promise<Outcome> {
  const env = { PATH: await pluginPath(), XENSNAP_DOM0_ROOT: dom0Root };
  const folder = await mkdtemp(join(dom0Root, 'tmp/plugin-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const stdout = await open(join(folder, 'stdout'), 'w+');
  stack.defer(() => stdout.close());
  const stderr = await open(join(folder, 'stderr'), 'w+');
  stack.defer(() => stderr.close());
  // A process group of its own: it lives on when a terminal stops the pool, and is ended as a whole.
  const stdio = ['ignore' as const, stdout.fd, stderr.fd];
  const child = spawn(file, [call], { cwd: '/', env, stdio, detached: true });
  pool.plugins.add(child);
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    return {
      code,
      signal,
      stdout: await readFile(join(folder, 'stdout'), 'utf8'),
      stderr: await readFile(join(folder, 'stderr'), 'utf8'),
    };
  } finally {
    pool.plugins.delete(child);
  }
}

/** Ends the plugins that still run, with what they have started. */
export async function killPlugins({ plugins }: PoolState): Promise<void> {
  await Promise.all(
    [...plugins].map(async (child) => {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        return;
      }
      await ended;
    }),
  );
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
