import { expect, it } from 'vitest';
import { localClock } from '../../../local/clock.ts';
import { History } from '../../../local/pool/database/history.ts';
import { aPool, until } from './a-pool.ts';
import { request, type TestClient } from './client.ts';

interface Batch {
  readonly events: Record<string, unknown>[];
  readonly valid_ref_counts: Record<string, number>;
  readonly token: string;
}

const eventsFrom = (client: TestClient, classes: string[], token: string, seconds = 30.5) =>
  client.call('event.from', classes, token, seconds) as Promise<Batch>;

it('answers all there is without a token, then what happens after it', async () => {
  await using world = await aPool({ clock: localClock(20) });
  const { pool, client } = world;
  const vm = pool.vm('web-1').ref;
  const all = await eventsFrom(client, ['VM', 'task'], '');
  expect(all.token).toMatch(/^\d{20},\d{20}$/);
  expect(all.events.every(({ operation }) => operation === 'add')).toBe(true);
  expect(all.events.find(({ ref }) => ref === vm)).toMatchObject({
    class: 'vm',
    timestamp: '0.0',
    snapshot: { name_label: 'web-1' },
  });
  expect(all.valid_ref_counts).toMatchObject({ vm: all.events.length, host: 1 });
  const waiting = eventsFrom(client, ['vm'], all.token);
  await client.call('VM.set_name_label', vm, 'new');
  const { events, token } = await waiting;
  expect(events).toMatchObject([{ operation: 'mod', ref: vm, snapshot: { name_label: 'new' } }]);
  expect(token > all.token).toBe(true);
});

it('tells of one object alone, of its end without a snapshot, and of nothing when the time is over', async () => {
  await using world = await aPool({ clock: localClock(20) });
  const { client } = world;
  const task = await client.call('task.create', 'mine', '');
  const other = await client.call('task.create', 'other', '');
  const first = await eventsFrom(client, [`task/${task}`], '');
  expect(first.events.map(({ ref }) => ref)).toEqual([task]);
  const empty = await eventsFrom(client, [`task/${task}`], first.token, 0.5);
  expect([empty.events, empty.token]).toEqual([[], first.token]);
  await client.call('task.set_progress', other, 0.5);
  await client.call('task.set_status', task, 'success');
  await client.call('task.destroy', task);
  const { events } = await eventsFrom(client, [`task/${task}`], first.token);
  expect(events).toHaveLength(1);
  expect(events[0]).toMatchObject({ class: 'task', operation: 'del', ref: task });
  expect(events[0]).not.toHaveProperty('snapshot');
});

it('tells a VM’s change also when only a list of what points to it has changed', async () => {
  await using world = await aPool({ clock: localClock(20) });
  const { pool, client } = world;
  const vm = pool.vm('web-1').ref;
  const { token } = await eventsFrom(client, ['*'], '');
  await client.call('VM.snapshot', vm, 'taken');
  const { events } = await eventsFrom(client, ['vm', 'message'], token);
  expect(events.map((event) => [event.class, event.operation]).slice(0, 2)).toEqual([
    ['message', 'add'],
    ['vm', 'add'],
  ]);
  expect(events.find(({ ref }) => ref === vm)).toMatchObject({ operation: 'mod' });
});

it('remembers the last deletions alone, which only the counts tell', () => {
  const history = new History();
  const refs = Array.from({ length: 600 }, (_, index) => `OpaqueRef:${index}`);
  for (const ref of refs) history.note('VBD', 'add', ref);
  const since = history.generation;
  for (const ref of refs) history.note('VBD', 'del', ref);
  const gone = history.since('VBD', since).map(({ ref }) => ref);
  expect(gone.length).toBeLessThan(512);
  expect(gone).toEqual(refs.slice(-gone.length));
});

it('refuses a token that is none, and ends with the session', async () => {
  await using world = await aPool({ clock: localClock(20) });
  const { pool, client } = world;
  expect(await client.fails('event.from', ['vm'], 'x', 1)).toEqual(['EVENT_FROM_TOKEN_PARSE_FAILURE', 'x']);
  const { token } = await eventsFrom(client, ['vm'], '');
  const waiting = client.fails('event.from', ['vm'], token, 3600);
  await client.call('session.logout');
  pool.vm('web-1').setPowerState('Paused');
  expect(await waiting).toEqual(['SESSION_INVALID', client.session]);
});

it('answers the counts as i4 and the events’ integers as bare text', async () => {
  await using world = await aPool({ clock: localClock(20) });
  const values = [
    world.client.session,
    '<array><data><value>vm</value></data></array>',
    '',
    '<double>1</double>',
  ];
  const params = values.map((value) => `<param><value>${value}</value></param>`).join('');
  const body = `<methodCall><methodName>event.from</methodName><params>${params}</params></methodCall>`;
  const text = await (await fetch(world.pool.url, { method: 'POST', body })).text();
  expect(text).toContain('<name>host</name><value><i4>1</i4></value>');
  expect(text).toContain('<name>VCPUs_max</name><value>2</value>');
});

it('injects an event, after which a later token has seen everything before it', async () => {
  await using world = await aPool({ clock: localClock(20) });
  const { pool, client } = world;
  const vm = pool.vm('web-1').ref;
  const { token } = await eventsFrom(client, ['vm'], '');
  const injected = await client.call('event.inject', 'VM', vm);
  const { events, token: after } = await eventsFrom(client, ['vm'], token);
  expect(events).toMatchObject([{ ref: vm, operation: 'mod' }]);
  expect(after > String(injected)).toBe(true);
  expect(await client.fails('event.inject', 'VM', 'OpaqueRef:gone')).toEqual([
    'HANDLE_INVALID',
    'VM',
    'OpaqueRef:gone',
  ]);
});

it('still has register and next, which lose events that nobody fetches', async () => {
  await using world = await aPool({ clock: localClock(20) });
  const { pool, client } = world;
  const vm = pool.vm('web-1').ref;
  expect((await client.fails('event.next'))[0]).toBe('SESSION_NOT_REGISTERED');
  await client.call('event.register', ['VM']);
  const next = client.call('event.next') as Promise<Record<string, unknown>[]>;
  await client.call('VM.set_name_label', vm, 'one');
  expect((await next).map(({ operation, ref, id }) => [operation, ref, id])).toEqual([['mod', vm, '0']]);
  const long = 'x'.repeat(200_000);
  for (let count = 0; count < 60; count += 1)
    await client.call('VM.set_name_description', vm, `${count}${long}`);
  expect(await client.fails('event.next')).toEqual(['EVENTS_LOST']);
  await client.call('event.unregister', ['vm']);
  await client.call('VM.set_name_label', vm, 'unheard');
  expect(await client.call('event.get_current_id')).toBe('61');
  await request(pool.url, 'session.logout', client.session);
  await until(() => Object.keys(pool.records('session')).length === 0);
});
