import type { Context } from '../state.ts';
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
  'host.enable': ({ pool }: Context, hostRef: string) => pool.db.set('host', hostRef, 'enabled', true),
  'host.disable': ({ pool }: Context, hostRef: string) => pool.db.set('host', hostRef, 'enabled', false),
};
