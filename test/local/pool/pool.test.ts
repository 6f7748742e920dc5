import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { localClock } from '../../../local/clock.ts';
import { type SimulatedPool, startPool } from '../../../local/pool/pool.ts';
import { logIn, request, type TestClient } from './client.ts';

let dataDir: string;
let pool: SimulatedPool;
let client: TestClient;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'pool-'));
  pool = await startPool({ dataDir, vms: 3, diskMib: 8, clock: localClock(1000) });
  client = await logIn(pool.url, pool.username, pool.password);
});

afterAll(async () => {
  await pool.close();
  await rm(dataDir, { recursive: true });
});

it('has control domains, default templates, local SRs and a shared one', async () => {
  const vms = Object.values(
    (await client.call('VM.get_all_records')) as Record<string, Record<string, unknown>>,
  );
  expect(vms.filter((vm) => vm.is_control_domain)).toHaveLength(2);
  expect(vms.filter((vm) => vm.is_default_template).length).toBeGreaterThan(0);
  const srs = Object.values(
    (await client.call('SR.get_all_records')) as Record<string, Record<string, unknown>>,
  );
  expect(srs.map((sr) => [sr.type, sr.shared, (sr.PBDs as string[]).length])).toEqual([
    ['ext', false, 1],
    ['ext', false, 1],
    ['nfs', true, 2],
  ]);
});

it('sends a member away to the master, and lets nobody in with a wrong password', async () => {
  const [member = ''] = pool.memberUrls;
  const login = ['session.login_with_password', pool.username, pool.password] as const;
  expect((await request(member, ...login)).ErrorDescription).toEqual([
    'HOST_IS_SLAVE',
    pool.url.replace('http://', ''),
  ]);
  expect((await request(member, 'VM.get_all', client.session)).ErrorDescription?.[0]).toBe('HOST_IS_SLAVE');
  expect((await request(pool.url, 'session.login_with_password', 'root', 'guess')).ErrorDescription).toEqual([
    'SESSION_AUTHENTICATION_FAILED',
    'root',
    'Authentication failure',
  ]);
});

it('names what is wrong with a call', async () => {
  const vm = pool.vm('web-1').ref;
  expect(await client.fails('VM.snapshot')).toEqual([
    'MESSAGE_PARAMETER_COUNT_MISMATCH',
    'VM.snapshot',
    '2',
    '0',
  ]);
  expect(await client.fails('VM.get_uuid', vm, vm)).toEqual([
    'MESSAGE_PARAMETER_COUNT_MISMATCH',
    'VM.get_uuid',
    '1',
    '2',
  ]);
  expect(await client.fails('VM.snapshot_with_quiesce', vm, 'x')).toEqual(['MESSAGE_REMOVED']);
  expect(await client.fails('VM.dance', vm)).toEqual(['MESSAGE_METHOD_UNKNOWN', 'VM.dance']);
  expect(await client.fails('VM.get_record', 'OpaqueRef:NULL')).toEqual([
    'HANDLE_INVALID',
    'VM',
    'OpaqueRef:NULL',
  ]);
  expect(await client.fails('VM.get_by_uuid', 'none')).toEqual(['UUID_INVALID', 'VM', 'none']);
  expect((await request(pool.url, 'VM.get_all', 'OpaqueRef:gone')).ErrorDescription).toEqual([
    'SESSION_INVALID',
    'OpaqueRef:gone',
  ]);
  expect(await client.fails('Async.VM.add_to_other_config', vm, 'a', 'b')).toEqual([
    'Fault',
    'No async mode for this operation (rpc: VM.add_to_other_config)',
  ]);
});

it('keeps maps as xapi does: a second key is an error, removing nothing is none', async () => {
  const vm = pool.vm('db-1').ref;
  await client.call('VM.add_to_other_config', vm, 'lock', 'one');
  expect(await client.fails('VM.add_to_other_config', vm, 'lock', 'one')).toEqual([
    'MAP_DUPLICATE_KEY',
    'VM',
    'other_config',
    vm,
    'lock',
  ]);
  await client.call('VM.remove_from_other_config', vm, 'lock');
  await client.call('VM.remove_from_other_config', vm, 'lock');
  expect(await client.call('VM.get_other_config', vm)).not.toHaveProperty('lock');
});

it('refuses an empty key, in a map that is set as in one that is added to', async () => {
  const vm = pool.vm('db-1').ref;
  const emptyKey = ['INTERNAL_ERROR', 'Db_exn.Empty_key_in_map'];
  expect(await client.fails('VM.add_to_other_config', vm, '', 'x')).toEqual(emptyKey);
  expect(await client.fails('VM.set_other_config', vm, { '': 'x' })).toEqual(emptyKey);
});

it('says of an argument of a wrong type what it expected and got', async () => {
  const vm = pool.vm('db-1').ref;
  const failure = (text: string) => ['INTERNAL_ERROR', `Failure("${text}")`];
  expect(await client.fails('VM.get_record', 5)).toEqual(failure("Expected string, got 'I(5)'"));
  expect(await client.fails('VM.set_is_a_template', vm, 'true')).toEqual(
    failure("Expected bool, got 'S(true)'"),
  );
  expect(await client.fails('VM.set_other_config', vm, ['a', 1.5])).toEqual(
    failure("Expecting Rpc.Dict, but found '[S(a);F(1.5)]'"),
  );
  expect(await client.fails('VM.set_tags', vm, { a: true })).toEqual(
    failure("Expecting Rpc.Enum, but found '{a:B(true)}'"),
  );
  expect(await client.fails('VM.set_memory', vm, 'many')).toEqual(failure('Int64.of_string'));
});

it('ends text where XML has no such character, and takes no call that holds one', async () => {
  const vm = pool.vm('db-1').ref;
  const value = (text: string) => `<param><value>${text}</value></param>`;
  const body = `<methodCall><methodName>VM.set_name_description</methodName><params>${[client.session, vm, 'a\u0001b'].map(value).join('')}</params></methodCall>`;
  expect((await fetch(pool.url, { method: 'POST', body })).status).toBe(500);
  const json = { id: 1, method: 'VM.set_name_description', params: [client.session, vm, 'a\u0001b'] };
  await fetch(`${pool.url}/jsonrpc`, { method: 'POST', body: JSON.stringify(json) });
  expect(await client.call('VM.get_name_description', vm)).toBe('a');
});

it('filters records by the columns of its database', async () => {
  const find = (expression: string) => client.call('VM.get_all_records_where', expression) as Promise<object>;
  expect(Object.keys(await find('field "name__label" = "web-1"'))).toEqual([pool.vm('web-1').ref]);
  expect(Object.keys(await find('field "is_control_domain" = "true"'))).toHaveLength(2);
  expect(
    Object.keys(await find('(field "is_a_template"="false") and (not field "is_control_domain"="true")')),
  ).toHaveLength(3);
  expect(await client.fails('VM.get_all_records_where', 'field "name_label" = "web-1"')).toEqual([
    'INTERNAL_ERROR',
    'missing field',
    'name_label',
    '',
  ]);
});
