import { expect, it } from 'vitest';
import { aPool } from './a-pool.ts';

async function post(url: string, body: object): Promise<unknown> {
  const response = await fetch(`${url}/jsonrpc`, { method: 'POST', body: JSON.stringify(body) });
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json']);
  return response.json();
}

it('speaks JSON-RPC 2.0 and 1.0 beside XML-RPC, with integers as numbers', async () => {
  await using world = await aPool();
  const { pool } = world;
  const params = [pool.username, pool.password, '1.0', 'test'];
  const login = (await post(pool.url, {
    jsonrpc: '2.0',
    id: 7,
    method: 'session.login_with_password',
    params,
  })) as {
    result: string;
  };
  expect(login).toEqual({ jsonrpc: '2.0', result: expect.stringMatching(/^OpaqueRef:/), id: 7 });
  const session = login.result;
  const vm = pool.vm('web-1').ref;
  const name = await post(pool.url, { id: 'a', method: 'VM.get_name_label', params: [session, vm] });
  expect(name).toEqual({ result: 'web-1', error: null, id: 'a' });
  const record = await post(pool.url, {
    id: 1,
    method: 'VDI.get_record',
    params: [session, pool.vm('web-1').rootVdi?.ref],
  });
  expect(record).toMatchObject({
    result: { virtual_size: 8 * 1024 ** 2, managed: true, snapshot_time: '19700101T00:00:00Z' },
  });
  const memory = await post(pool.url, { id: 1, method: 'VM.get_memory_target', params: [session, vm] });
  expect(memory).toEqual({ result: 1024 ** 3, error: null, id: 1 });
  const batch = (await post(pool.url, {
    jsonrpc: '2.0',
    id: 1,
    method: 'event.from',
    params: [session, ['VM'], '', 1],
  })) as { result: { events: { snapshot: object }[]; valid_ref_counts: object } };
  expect(batch.result.valid_ref_counts).toMatchObject({ host: 1 });
  expect(batch.result.events[0]?.snapshot).toMatchObject({ VCPUs_max: 2, name_label: expect.any(String) });
  const map = { 'vm-data/x': '1' };
  await post(pool.url, { id: 2, method: 'VM.set_xenstore_data', params: [session, vm, map] });
  expect(pool.vm('web-1').liveXenstore()).toMatchObject(map);
});

it('answers failures in the shape of each version', async () => {
  await using world = await aPool({ vms: 0 });
  const { pool } = world;
  const call = { id: 3, method: 'VM.get_all', params: ['OpaqueRef:gone'] };
  expect(await post(pool.url, call)).toEqual({
    result: null,
    error: ['SESSION_INVALID', 'OpaqueRef:gone'],
    id: 3,
  });
  expect(await post(pool.url, { jsonrpc: '2.0', ...call })).toEqual({
    jsonrpc: '2.0',
    error: { code: 1, message: 'SESSION_INVALID', data: ['OpaqueRef:gone'] },
    id: 3,
  });
  for (const body of ['{}', '[', '{"method":"VM.get_all","params":{}}'])
    expect((await fetch(`${pool.url}/jsonrpc`, { method: 'POST', body })).status).toBe(500);
});
