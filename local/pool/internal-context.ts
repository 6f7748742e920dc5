import { XapiFailure } from './failure.ts';
import type { Context, Host, PoolState } from './state.ts';
import { NULL_REF } from './value.ts';

/** A caller that is no client: the coalescer, or whoever builds the pool. */
export function internalContext(pool: PoolState, host: Host | undefined = pool.hosts[0]): Context {
  if (!host) throw new XapiFailure('HOST_STILL_BOOTING');
  return { pool, host, session: NULL_REF, task: 'OpaqueRef:internal' };
}
