import { chmod, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { encodePluginCall, readOutput } from '../../../local/pool/wire/plugin-wire.ts';
import { aPool, until } from './a-pool.ts';

/** A plugin whose function's name says what it does; a shell script, since that starts fast. */
const PLUGIN = `#!/bin/sh
fn=$(printf %s "$1" | sed 's/.*<methodName>//; s/<.*//')
answer() { printf '<?xml version="1.0"?>\\n<methodResponse>\\n<params><param>\\n<value><struct>%s</struct></value>\\n</param></params></methodResponse>\\n' "$1"; }
success() { answer "<member><name>Status</name><value><string>Success</string></value></member><member><name>Value</name><value>$1</value></member>"; }
case $fn in
  argv) success "<string>$(printf %s "$1" | sed 's/&/\\&amp;/g; s/</\\&lt;/g')</string>" ;;
  env) success "$(tr '\\0' '\\n' < /proc/$$/environ | cut -d= -f1 | sort | tr '\\n' ',')" ;;
  stray) echo debug; success ok ;;
  bare) echo '<methodResponse><params><param><value><string>ok</string></value></param></params></methodResponse>' ;;
  nothing) answer '<member><name>Value</name><value>x</value></member>' ;;
  number) success '<int>5</int>' ;;
  exit) printf out; printf err >&2; exit 3 ;;
  kill) kill -9 $$ ;;
  fault) echo '<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>7</int></value></member><member><name>faultString</name><value>no</value></member></struct></value></fault></methodResponse>' ;;
  failure) answer '<member><name>Status</name><value>Failure</value></member><member><name>ErrorDescription</name><value><array><data><value>OWN_CODE</value><value>a</value></data></array></value></member>' ;;
  daemon) sleep 30 & success 'left one behind' ;;
  sleep) while [ ! -e "$XENSNAP_DOM0_ROOT/tmp/go" ]; do sleep 0.05; done; : > "$XENSNAP_DOM0_ROOT/tmp/done"; success slept ;;
esac
`;

let folder: string;
let pluginFile: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plugin-'));
  pluginFile = join(folder, 'plugin');
  await writeFile(pluginFile, PLUGIN);
});

afterAll(() => rm(folder, { recursive: true }));

it('writes the one argument as xapi does', () => {
  expect(encodePluginCall('fn', 'OpaqueRef:s', { a: '<1>', b: '' })).toBe(
    '<methodCall><methodName>fn</methodName><params><param><value>OpaqueRef:s</value></param><param><value><struct>' +
      '<member><name>a</name><value>&lt;1&gt;</value></member><member><name>b</name><value/></member>' +
      '</struct></value></param></params></methodCall>',
  );
  expect(encodePluginCall('fn', 's', {})).toContain('<param><value><struct/></value></param>');
});

it('executes the installed file with one argument and hardly any environment', async () => {
  await using world = await aPool({ vms: 0, pluginFile });
  const { pool, client } = world;
  const [host] = pool.hosts;
  const call = (fn: string, args = {}) => client.call('host.call_plugin', host?.ref, 'glance', fn, args);
  expect(await call('argv', { params: '{"a": 1}' })).toBe(
    encodePluginCall('argv', client.session, { params: '{"a": 1}' }),
  );
  expect(await call('env')).toBe('PATH,XENSNAP_DOM0_ROOT,');
  expect(await client.task('host.call_plugin', host?.ref, 'glance', 'env', {})).toMatchObject({
    status: 'success',
    result: '<value>PATH,XENSNAP_DOM0_ROOT,</value>',
  });
});

it('keeps a Python plugin’s argument from other users of this machine, who see command lines', async () => {
  const file = join(folder, 'in-python');
  const seen = 'open("/proc/self/cmdline", "rb").read().decode(), sys.argv, sorted(os.environ)';
  await writeFile(
    file,
    `#!/usr/bin/env python3
import os, sys
from xmlrpc.client import dumps
print(dumps(({'Status': 'Success', 'Value': repr((${seen}, __file__, __name__))},), methodresponse=True))
`,
  );
  await using world = await aPool({ vms: 0, pluginFile: file });
  const { pool, client } = world;
  const [host] = pool.hosts;
  const value = String(await client.call('host.call_plugin', host?.ref, 'glance', 'fn', { a: 'ü' }));
  const [commandLine = '', rest = ''] = value.split(", ['");
  expect(commandLine).toContain('etc/xapi.d/plugins/glance');
  expect(commandLine).not.toContain('OpaqueRef');
  expect(commandLine).not.toContain('methodCall');
  const path = join(host?.dom0Root ?? '', 'etc/xapi.d/plugins/glance');
  expect(rest).toBe(`${path}', '${encodePluginCall('fn', client.session, { a: 'ü' })}']`);
  expect(value.slice(value.indexOf("['", value.indexOf(rest) + rest.length))).toMatch(
    /^\['(LC_CTYPE', ')?PATH', 'XENSNAP_DOM0_ROOT'\], '.*glance', '__main__'\)$/,
  );
});

it('reads what a plugin prints by xapi’s rules', async () => {
  await using world = await aPool({ vms: 0, pluginFile });
  const { pool, client } = world;
  const fails = (fn: string) => client.fails('host.call_plugin', pool.hosts[0]?.ref, 'glance', fn, {});
  expect(await fails('exit')).toEqual(['XENAPI_PLUGIN_FAILURE', 'non-zero exit', 'out', 'err']);
  expect(await fails('kill')).toEqual(['XENAPI_PLUGIN_FAILURE', 'signal: SIGKILL', '', '']);
  const [code, status, output, reason] = await fails('stray');
  expect([code, status]).toEqual(['XENAPI_PLUGIN_FAILURE', 'failed to parse plugin output']);
  expect(output).toMatch(/^debug\n<\?xml/);
  expect(reason).toMatch(/line \d+$/);
  expect(await fails('number')).toEqual([
    'INTERNAL_ERROR',
    `XMLRPC.RunTimeTypeError("unbox: Element=int should contain 'string'", _)`,
  ]);
  expect(await fails('bare')).toEqual([
    'INTERNAL_ERROR',
    `XMLRPC.RunTimeTypeError("unbox: Element=string should contain 'struct'", _)`,
  ]);
  expect(await fails('nothing')).toEqual(['INTERNAL_ERROR', 'XMLRPC.RunTimeTypeError("Status", _)']);
  expect(await fails('fault')).toEqual(['XENAPI_PLUGIN_FAILURE', 'fault', '7', 'no']);
  expect(await fails('failure')).toEqual(['OWN_CODE', 'a']);
  expect(() => readOutput('')).toThrow(/failed to parse/);
});

it('misses a plugin that is not installed', async () => {
  await using world = await aPool({ vms: 0, pluginFile });
  const { pool, client } = world;
  const host = pool.hosts[0];
  expect(await client.fails('host.call_plugin', host?.ref, 'glance.py', 'env', {})).toEqual([
    'XENAPI_MISSING_PLUGIN',
    'glance.py',
  ]);
  await pool.installPlugin(host?.uuid ?? '', null);
  expect(await client.fails('host.call_plugin', host?.ref, 'glance', 'env', {})).toEqual([
    'XENAPI_MISSING_PLUGIN',
    'glance',
  ]);
});

it('ends like a plugin that fails where the file cannot be executed', async () => {
  await using world = await aPool({ vms: 0, pluginFile });
  const { pool, client } = world;
  const [host] = pool.hosts;
  await chmod(join(host?.dom0Root ?? '', 'etc/xapi.d/plugins/glance'), 0o644);
  expect(await client.fails('host.call_plugin', host?.ref, 'glance', 'env', {})).toEqual([
    'XENAPI_PLUGIN_FAILURE',
    'non-zero exit',
    '',
    '',
  ]);
});

it('answers when the plugin has ended, whatever it left running', async () => {
  await using world = await aPool({ vms: 0, pluginFile });
  expect(await world.client.call('host.call_plugin', world.pool.hosts[0]?.ref, 'glance', 'daemon', {})).toBe(
    'left one behind',
  );
});

it('lets a plugin run to its end when its caller is gone and its task cancelled', async () => {
  await using world = await aPool({ vms: 0, pluginFile });
  const { pool, client } = world;
  const [host] = pool.hosts;
  const task = await client.call('Async.host.call_plugin', host?.ref, 'glance', 'sleep', {});
  await until(async () => (await pool.inventory()).plugins === 1);
  await client.call('task.cancel', task);
  await writeFile(join(host?.dom0Root ?? '', 'tmp/go'), '');
  await until(async () => (await client.call('task.get_status', task)) !== 'pending');
  expect(await client.call('task.get_status', task)).toBe('success');
  expect(await readFile(join(host?.dom0Root ?? '', 'tmp/done'), 'utf8')).toBe('');
});

it('lays out the control domain, with the SRs mounted while they are attached', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool } = world;
  const [host] = pool.hosts;
  const [sr] = pool.srs;
  const mount = join(host?.dom0Root ?? '', 'var/run/sr-mount', sr?.uuid ?? '');
  expect(await readFile(join(host?.dom0Root ?? '', 'etc/xensource-inventory'), 'utf8')).toContain(
    `INSTALLATION_UUID='${host?.uuid}'`,
  );
  expect(await readlink(mount)).toBe(sr?.folder);
  expect(join(host?.dom0Root ?? '', 'var/lib/xcp/xapi').length).toBeLessThan(104);
  await pool.setPbdPlugged(host?.uuid ?? '', sr?.uuid ?? '', false);
  await expect(readlink(mount)).rejects.toThrow('ENOENT');
});
