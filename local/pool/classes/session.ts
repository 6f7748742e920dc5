import { NULL_REF } from '../database/value.ts';
import { XapiFailure } from '../failure.ts';
import type { Context, Host, PoolState } from '../state.ts';

const INACTIVE_SECONDS = 86_400;

/** The address that HOST_IS_SLAVE names: here with the port, since all hosts share one loopback address. */
export function masterAddress({ db }: PoolState): string {
  const [poolRef = NULL_REF] = db.refs('pool');
  return db.text('host', db.text('pool', poolRef, 'master'), 'address');
}

function openSession(pool: PoolState, host: Host, username: string, originator: string): string {
  return pool.db.create('session', {
    this_host: host.ref,
    last_active: pool.clock.now(),
    validation_time: pool.clock.now(),
    is_local_superuser: true,
    auth_user_name: username,
    originator,
  });
}

/**
 * Logs in as a root session (xapi_session.ml). The version is ignored. The control domain's socket is pre-authenticated:
 * any password will do there.
 */
export async function login(
  pool: PoolState,
  host: Host,
  channel: 'tcp' | 'unix',
  username: string,
  password: string,
  _version = '',
  originator = '',
): Promise<string> {
  if (channel === 'unix') return openSession(pool, host, username, originator);
  if (!host.isMaster) throw new XapiFailure('HOST_IS_SLAVE', masterAddress(pool));
  if (username !== pool.settings.username || password !== pool.settings.password) {
    // xapi sleeps to make guessing slow.
    await pool.clock.sleep(pool.settings.failedLoginSeconds, pool.stopped);
    throw new XapiFailure('SESSION_AUTHENTICATION_FAILED', username, 'Authentication failure');
  }
  return openSession(pool, host, username, originator);
}

/**
 * Lets a call pass that names a session (session_check.ml).
 * @throws XapiFailure SESSION_INVALID, or HOST_IS_SLAVE on a member's network port
 */
export function checkSession(pool: PoolState, host: Host, channel: 'tcp' | 'unix', session: string): void {
  if (!pool.db.has('session', session)) throw new XapiFailure('SESSION_INVALID', session);
  if (channel === 'tcp' && !host.isMaster) throw new XapiFailure('HOST_IS_SLAVE', masterAddress(pool));
  pool.db.set('session', session, 'last_active', pool.clock.now());
}

export const sessionCalls = {
  // Tasks go on, and keep a reference to a session that is no more.
  'session.logout': ({ pool, session }: Context) => pool.db.destroy('session', session),
  'session.local_logout': ({ pool, session }: Context) => pool.db.destroy('session', session),
};

/** Ends sessions that were idle for a day and have no task under way (timeout_sessions_common). */
export function collectSessions({ db, clock }: PoolState): void {
  for (const session of db.refs('session')) {
    const idle = clock.now().getTime() - Number(db.get('session', session, 'last_active'));
    const busy = db
      .referrers('task', 'session', session)
      .some((task) => db.text('task', task, 'status') === 'pending');
    if (idle > INACTIVE_SECONDS * 1000 && !busy) db.destroy('session', session);
  }
}
