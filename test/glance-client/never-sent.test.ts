import { expect, it } from 'vitest';
import { wasNeverSent } from '../../glance/never-sent.ts';
import { aClient, aServer } from './fake.ts';

const errorOf = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error: unknown) => error,
  );

it.each(['http://127.0.0.1:9', 'http://localhost:9', 'http://nobody.invalid'])(
  'knows that nothing was sent to %s',
  async (url) => {
    expect(wasNeverSent(await errorOf(aClient({ url }).deleteImage('i')))).toBe(true);
  },
);

it('takes a request whose connection was lost, or that got no answer, for one that may have been heard', async () => {
  const lost = await aServer((req) => req.socket.destroy());
  expect(wasNeverSent(await errorOf(aClient({ url: lost }).deleteImage('i')))).toBe(false);
  const silent = await aServer(() => {});
  expect(wasNeverSent(await errorOf(aClient({ url: silent, timeoutSeconds: 0.2 }).deleteImage('i')))).toBe(
    false,
  );
  expect(wasNeverSent(new Error('read', { cause: Object.assign(new Error(), { syscall: 'read' }) }))).toBe(
    false,
  );
});
