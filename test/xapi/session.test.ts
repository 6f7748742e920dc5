import { afterEach, describe, expect, it } from 'vitest';
import type { Session } from '../../xapi/session.ts';
import type { Ref } from '../../xapi/types.ts';
import { credentials, type Script, sessionOf, startedThings } from './members.ts';
import { failure, success } from './raw-server.ts';

const started = startedThings();
afterEach(() => started.close());

const vmRef = 'OpaqueRef:vm' as Ref<'VM'>;

async function run<T>(script: Script, fn: (session: Session) => Promise<T>) {
  const host = await started.member(script);
  const outcome = await started
    .client([host])
    .withSession(credentials, fn)
    .catch((error: unknown) => error);
  const methods = host.methods.filter((method) => !method.startsWith('session.'));
  const logins = host.methods.filter((method) => method.endsWith('login_with_password')).length;
  return { host, outcome, methods, logins };
}

describe('a call', () => {
  it('gives what the pool answers, and omits an optional argument that is not given', async () => {
    const { host, outcome } = await run({ 'Async.VM.snapshot': () => success('OpaqueRef:task') }, (session) =>
      session.call('Async.VM.snapshot', vmRef, 'xensnap-1'),
    );
    expect(outcome).toBe('OpaqueRef:task');
    expect(host.requests[1]?.body.match(/<param>/g)).toHaveLength(3);
  });

  it('gives a record with its dates', async () => {
    const record =
      '<struct><member><name>created</name><value><dateTime.iso8601>20261124T06:10:42Z</dateTime.iso8601></value></member></struct>';
    const { outcome } = await run({ 'task.get_record': () => success(record) }, (session) =>
      session.call('task.get_record', 'OpaqueRef:task' as Ref<'task'>),
    );
    expect(outcome).toEqual({ created: new Date('2026-11-24T06:10:42Z') });
  });

  it('that the pool refuses is a XapiError with code and parameters, and not the arguments', async () => {
    const { outcome } = await run(
      { 'secret.create': () => failure('RBAC_PERMISSION_DENIED', 'secret.create', 'no') },
      (session) => session.call('secret.create', { value: 'token-1', other_config: {} }),
    );
    expect(outcome).toMatchObject({
      name: 'XapiError',
      method: 'secret.create',
      message: 'RBAC_PERMISSION_DENIED(secret.create, no)',
    });
    expect(JSON.stringify([outcome, (outcome as Error).stack])).not.toMatch(/token-1|OpaqueRef:session/);
  });
});

describe('a lost answer', () => {
  it.each(['VM.snapshot', 'Async.VM.snapshot', 'VM.snapshot_with_quiesce'] as const)(
    'to %s is XapiReplyLost: it is never sent twice',
    async (method) => {
      const { outcome, methods } = await run({ [method]: () => 'drop' }, (session) =>
        session.call(method, vmRef, 'xensnap-1'),
      );
      expect(outcome).toMatchObject({ name: 'XapiReplyLost', method });
      expect(methods).toEqual([method]);
    },
  );

  it('to a getter is asked for once more', async () => {
    const { outcome, methods } = await run(
      { 'VM.get_power_state': (_, nth) => (nth === 1 ? 'drop' : success('Running')) },
      (session) => session.call('VM.get_power_state', vmRef),
    );
    expect(outcome).toBe('Running');
    expect(methods).toHaveLength(2);
  });

  it('to a getter is asked for only once more', async () => {
    const { outcome, methods } = await run({ 'VM.get_power_state': () => 'drop' }, (session) =>
      session.call('VM.get_power_state', vmRef),
    );
    expect(outcome).toMatchObject({ name: 'XapiReplyLost' });
    expect(methods).toHaveLength(2);
  });
});

describe('a session that xapi no longer knows', () => {
  const goneFor = (times: number): Script => ({
    'VM.destroy': (request, nth) =>
      nth <= times ? failure('SESSION_INVALID', sessionOf(request)) : success(''),
  });

  it('is replaced, and the call made again', async () => {
    const { host, outcome, methods, logins } = await run(goneFor(1), async (session) => {
      await session.call('VM.destroy', vmRef);
      return session.callCount;
    });
    expect(outcome).toBe(4);
    expect([methods.length, logins]).toEqual([2, 2]);
    expect(host.requests.filter(({ method }) => method === 'session.logout').map(sessionOf)).toEqual([
      'OpaqueRef:session-2',
    ]);
  });

  it('is replaced only once, and its reference is not in the error', async () => {
    const { outcome, methods, logins } = await run(goneFor(9), (session) =>
      session.call('VM.destroy', vmRef),
    );
    expect(outcome).toMatchObject({ name: 'XapiError', code: 'SESSION_INVALID' });
    expect(JSON.stringify([outcome, String(outcome)])).not.toContain('OpaqueRef:session');
    expect([methods.length, logins]).toEqual([2, 2]);
  });

  it('is replaced once for all calls that find it gone at the same time', async () => {
    const { logins, outcome } = await run(goneFor(3), (session) =>
      Promise.all(Array.from({ length: 3 }, () => session.call('VM.destroy', vmRef))),
    );
    expect(outcome).toEqual(['', '', '']);
    expect(logins).toBe(2);
  });

  it('is not ours when it was one of xapi’s own, half way: the call is not made again', async () => {
    const { outcome, methods } = await run(
      { 'VM.destroy': () => failure('SESSION_INVALID', 'OpaqueRef:another') },
      (session) => session.call('VM.destroy', vmRef),
    );
    expect(outcome).toMatchObject({ code: 'SESSION_INVALID' });
    expect(methods).toHaveLength(1);
  });
});
