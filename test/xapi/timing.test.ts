import { afterEach, describe, expect, it } from 'vitest';
import type { Session } from '../../xapi/session.ts';
import type { Ref } from '../../xapi/types.ts';
import { credentials, startedThings } from './members.ts';
import { failure, success } from './raw-server.ts';

const started = startedThings();
afterEach(() => started.close());

const host = 'OpaqueRef:host' as Ref<'host'>;
const askPlugin = (session: Session) => session.call('host.call_plugin', host, 'glance', 'status', {});
const scan = (session: Session) => session.call('SR.scan', 'OpaqueRef:sr' as Ref<'SR'>);
const never = () => new Promise<never>(() => {});

/** What came of it, and after how many seconds. */
async function timed(work: Promise<unknown>) {
  const began = performance.now();
  const outcome = await work.catch((error: unknown) => error);
  return { outcome, seconds: (performance.now() - began) / 1000 };
}

describe('a call that nobody answers', () => {
  it('is XapiReplyLost after the time of a call, also where the session has more', async () => {
    const pool = await started.member({ 'host.call_plugin': never });
    const client = started.client([pool], { callSeconds: 0.3, longCallSeconds: 60 });
    const { outcome, seconds } = await timed(client.withSession(credentials, askPlugin, { seconds: 60 }));
    expect(outcome).toMatchObject({ name: 'XapiReplyLost', method: 'host.call_plugin' });
    expect(seconds).toBeGreaterThanOrEqual(0.29);
    expect(seconds).toBeLessThan(20);
    expect(pool.sessions).toEqual(new Set());
  });

  it('may take longer where an SR’s driver works for it', async () => {
    const pool = await started.member({
      'SR.scan': () => new Promise((resolve) => setTimeout(() => resolve(success('')), 600)),
    });
    const client = started.client([pool], { callSeconds: 0.3, longCallSeconds: 60 });
    expect(await client.withSession(credentials, scan)).toBe('');
  });

  it('is XapiReplyLost when the session’s time is over, and later calls are not sent', async () => {
    const pool = await started.member({ 'SR.scan': never });
    const client = started.client([pool], { callSeconds: 60, longCallSeconds: 60 });
    const errors: unknown[] = [];
    const inSession = async (session: Session) => {
      for (const call of [scan, askPlugin, scan])
        errors.push(await call(session).catch((error: unknown) => error));
    };
    const { seconds } = await timed(client.withSession(credentials, inSession, { seconds: 0.4 }));
    expect(errors).toMatchObject([
      { name: 'XapiReplyLost', method: 'SR.scan' },
      { name: 'XapiTimeUp', message: expect.stringMatching(/^host.call_plugin was not sent: .* 0.4 s /) },
      { name: 'XapiTimeUp' },
    ]);
    expect(seconds).toBeLessThan(20);
    expect(pool.methods).toEqual(['session.login_with_password', 'SR.scan', 'session.logout']);
    expect(pool.sessions).toEqual(new Set());
  });

  it('does not hold the logout up for longer than a call may take', async () => {
    const pool = await started.member({ 'host.call_plugin': never, 'session.logout': never });
    const client = started.client([pool], { callSeconds: 0.3 });
    const { outcome, seconds } = await timed(client.withSession(credentials, askPlugin));
    expect(outcome).toMatchObject({ name: 'XapiReplyLost', method: 'host.call_plugin' });
    expect(seconds).toBeLessThan(3);
  });
});

describe('a pool that hangs at the login', () => {
  it('is waited for once in a session, however many calls are made', async () => {
    const pool = await started.member({ 'session.login_with_password': never });
    const client = started.client([pool], { callSeconds: 0.3 });
    const errors = await client.withSession(credentials, async (session) => [
      await askPlugin(session).catch((error: unknown) => error),
      await scan(session).catch((error: unknown) => error),
    ]);
    expect(errors).toMatchObject([{ name: 'XapiUnreachable' }, { name: 'XapiUnreachable' }]);
    expect(pool.methods).toEqual(['session.login_with_password']);
  });

  it('is XapiUnreachable also where the session ends before all members were asked', async () => {
    const first = await started.member({ 'session.login_with_password': never });
    const second = await started.member({
      'session.login_with_password': () => failure('HOST_STILL_BOOTING'),
    });
    const client = started.client([first, second], { callSeconds: 60 });
    const { outcome } = await timed(client.withSession(credentials, askPlugin, { seconds: 0.3 }));
    expect(outcome).toMatchObject({ name: 'XapiUnreachable' });
    expect(second.connections).toBe(0);
  });
});

describe('an answer that takes long to be read', () => {
  const large = success(
    `<struct>${'<member><name>a</name><value>x</value></member>'.repeat(150_000)}</struct>`,
  );

  it('is XapiReplyLost after the time of a call, though all of it has come', async () => {
    const pool = await started.member({ 'VM.get_all_records': () => large });
    const client = started.client([pool], { callSeconds: 0.4 });
    const { outcome, seconds } = await timed(
      client.withSession(credentials, (session) => session.call('VM.get_all_records')),
    );
    expect(outcome).toMatchObject({
      name: 'XapiReplyLost',
      method: 'VM.get_all_records',
      message: expect.stringMatching(/not all of the answer read within 0\.4 s|nothing heard within 0\.4 s/),
    });
    // A getter is sent once more.
    expect(seconds).toBeLessThan(10);
  });

  it('is left when its signal is aborted', async () => {
    const abort = new AbortController();
    const pool = await started.member({
      'VM.get_all_records': () => {
        setTimeout(() => abort.abort(new Error('closing')), 300);
        return large;
      },
    });
    const client = started.client([pool], { callSeconds: 60 });
    const asked = client.withSession(credentials, (session) => session.call('VM.get_all_records'), {
      signal: abort.signal,
    });
    await expect(asked).rejects.toMatchObject({
      name: 'XapiReplyLost',
      cause: expect.objectContaining({ message: 'closing' }),
    });
  });
});
