import type { LocalClock } from '../../../local/clock.ts';
import type { Reply } from './faults.ts';
import { type Front, startProxy } from './front.ts';
import { refusal } from './glance.ts';
import type { Wire } from './wire.ts';

/** Seconds: so few that no token is kept for the next use of Glance, and each use asks for one. */
const LIFETIME = 240;

/** A Keystone that gives the one token that its Glance takes. */
export function startKeystone(wire: Wire, clock: LocalClock, token: string): Promise<Front> {
  return startProxy(
    wire,
    {
      readsBody: true,
      describe: ({ method, url }) => ({ to: 'keystone', name: `${method} ${url}`, args: [] }),
      refusal,
    },
    ({ method, url }): Reply => {
      const headers = { 'content-type': 'application/json' };
      if (method !== 'POST' || url !== '/v3/auth/tokens')
        return { status: 404, headers, body: Buffer.from('{}') };
      const expires = new Date(clock.now().getTime() + LIFETIME * 1000);
      const project = { id: 'service', name: 'service', domain: { id: 'default', name: 'Default' } };
      const user = { id: 'xensnap', name: 'xensnap', domain: { id: 'default', name: 'Default' } };
      const issued = {
        token: {
          ...{ methods: ['application_credential'], user, project, is_domain: false },
          ...{ roles: [{ id: 'member', name: 'member' }], expires_at: expires.toISOString() },
        },
      };
      return {
        status: 201,
        headers: { ...headers, 'x-subject-token': token },
        body: Buffer.from(JSON.stringify(issued)),
      };
    },
  );
}
