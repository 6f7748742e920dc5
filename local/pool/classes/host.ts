import { XapiFailure } from '../failure.ts';
import type { Context } from '../state.ts';
import { freeMemory } from './can-boot.ts';
import { atHost } from './forwarding.ts';
import { callPlugin } from './plugin.ts';

export const hostCalls = {
  'host.call_plugin': (
    context: Context,
    hostRef: string,
    plugin: string,
    fn: string,
    args: Record<string, string>,
  ) => {
    const { pool, session } = context;
    pool.db.row('host', hostRef);
    return atHost(context, hostRef, (host) => callPlugin(pool, host, session, plugin, fn, args));
  },
  'host.get_servertime': (context: Context, hostRef: string) => {
    context.pool.db.row('host', hostRef);
    return atHost(context, hostRef, async () => context.pool.clock.now());
  },
  'host.compute_free_memory': ({ pool }: Context, hostRef: string) => {
    pool.db.row('host', hostRef);
    return String(freeMemory(pool, hostRef));
  },
  'host.get_management_interface': ({ pool: { db } }: Context, hostRef: string) => {
    db.row('host', hostRef);
    const pif = db.referrers('PIF', 'host', hostRef).find((each) => db.flag('PIF', each, 'management'));
    if (pif === undefined) throw new XapiFailure('HOST_HAS_NO_MANAGEMENT_IP');
    return pif;
  },
  'host.enable': ({ pool }: Context, hostRef: string) => pool.db.set('host', hostRef, 'enabled', true),
  'host.disable': ({ pool }: Context, hostRef: string) => pool.db.set('host', hostRef, 'enabled', false),
};
