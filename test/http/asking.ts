import { createGlance } from '../../glance/client.ts';
import { createKeystone } from '../../glance/keystone.ts';
import type { TrustOptions } from '../../http/trust.ts';
import { createPoolClient } from '../../xapi/client.ts';
import { CREDENTIAL } from '../glance-client/stub-keystone.ts';
import { http, type RawRequest, success } from '../xapi/raw-server.ts';

/** The client of a server, which can be asked as often as a test likes. */
interface Asking {
  ask(): Promise<unknown>;
  close(): Promise<void>;
}

/** How each of the three clients is made for a server. */
export const CLIENTS: Readonly<
  Record<'Pool' | 'Glance' | 'Keystone', (url: string, trust: TrustOptions) => Asking>
> = {
  Pool(url, trust) {
    const pool = createPoolClient({ addresses: [url], ...trust });
    return { ask: () => pool.probe(), close: () => pool.close() };
  },
  Glance(url, trust) {
    const glance = createGlance({ url, token: async () => 'planted', ...trust });
    return { ask: () => glance.check(), close: () => glance.close() };
  },
  Keystone(url, trust) {
    const clock = { now: () => new Date() };
    const keystone = createKeystone({ url, credential: async () => CREDENTIAL, clock, ...trust });
    const ask = () => {
      keystone.forget();
      return keystone.token();
    };
    return { ask, close: () => keystone.close() };
  },
};

/** A server's answers to what the three ask. */
export function answerToAny({ head, method }: RawRequest) {
  if (method !== '') return success('x');
  if (head.startsWith('GET')) return { bytes: http('{"images":[],"versions":[]}') };
  const token = { expires_at: '2100-01-01T00:00:00Z', user: { id: 'xensnap' } };
  return { bytes: http(JSON.stringify({ token }), 'HTTP/1.1 201 Created\r\nx-subject-token: token') };
}

/** Asks once, and says how it went. */
export async function askOnce(
  client: keyof typeof CLIENTS,
  url: string,
  trust: TrustOptions,
): Promise<unknown> {
  const asking = CLIENTS[client](url, trust);
  try {
    await asking.ask();
    return 'accepted';
  } catch (error) {
    return error;
  } finally {
    await asking.close();
  }
}
