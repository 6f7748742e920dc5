import { XapiFailure } from './failure.ts';
import { callPlugin } from './plugin.ts';
import type { Context } from './state.ts';

export const hostCalls = {
  'host.call_plugin': (
    { pool, session }: Context,
    hostRef: string,
    plugin: string,
    fn: string,
    args: Record<string, string>,
  ) => {
    pool.db.row('host', hostRef);
    const host = pool.hosts.find(({ ref }) => ref === hostRef);
    if (!host || !pool.db.flag('host_metrics', pool.db.text('host', hostRef, 'metrics'), 'live'))
      throw new XapiFailure('HOST_OFFLINE', hostRef);
    return callPlugin(pool, host, session, plugin, fn, args);
  },
  'host.get_servertime': ({ pool }: Context, hostRef: string) => {
    pool.db.row('host', hostRef);
    return pool.clock.now();
  },
  'host.enable': ({ pool }: Context, hostRef: string) => pool.db.set('host', hostRef, 'enabled', true),
  'host.disable': ({ pool }: Context, hostRef: string) => pool.db.set('host', hostRef, 'enabled', false),
};
