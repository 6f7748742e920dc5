import { isMap, type Value } from './database/value.ts';
import type { CallLogEntry, Host, PoolState } from './state.ts';

/** One call as a host of the pool gets it. */
export interface Request {
  readonly host: Host;
  readonly channel: 'tcp' | 'unix';
  readonly method: string;
  readonly params: readonly Value[];
}

/** The call's entry in the log, before anything came of it. */
export function logCall({ db, clock }: PoolState, { host, channel, method, params }: Request): CallLogEntry {
  const isLogin = /login_with_password$/.test(method);
  const session = String(params[0] ?? '');
  const originator = isLogin
    ? String(params[3] ?? '')
    : db.has('session', session)
      ? db.text('session', session, 'originator')
      : '';
  return {
    at: clock.now(),
    host: host.name,
    channel,
    method,
    args: maskArguments(method, params),
    originator,
  };
}

/** The arguments without what must not be read in a log. */
function maskArguments(method: string, params: readonly Value[]): unknown[] {
  if (/login_with_password$/.test(method))
    return params.map((value, index) => (index === 1 ? '<password>' : value));
  if (params.length === 0) return [];
  const [, ...rest] = params;
  if (/secret\.create$/.test(method) && isMap(rest[0]))
    return ['<session>', { ...rest[0], value: '<secret>' }];
  if (/secret\.set_value$/.test(method)) return ['<session>', rest[0], '<secret>'];
  return ['<session>', ...rest];
}
