import { NULL_REF } from './database/value.ts';
import { XapiFailure } from './failure.ts';
import type { Context, Host, PoolState } from './state.ts';

/** The context of calls that no client makes: the coalescer's, and those that build the pool. */
export function internalContext(pool: PoolState, host: Host | undefined = pool.hosts[0]): Context {
  if (!host) throw new XapiFailure('HOST_STILL_BOOTING');
  return { pool, host, session: NULL_REF, task: 'OpaqueRef:internal' };
}
