import { type Ask, askMaster } from './ask.ts';
import type { Reply, WireValue } from './codec.ts';
import { XapiError } from './errors.ts';
import { type CredentialsSource, type KnownPool, type Login, logIn, poolUuidOf } from './login.ts';
import { type Arguments, type Method, onlyReads, type Result } from './methods.ts';
import type { Timing } from './timing.ts';
import { XapiReplyLost } from './transport-errors.ts';

/** Calls to one pool under one session, which begins with the first call. */
export interface Session {
  /**
   * Makes a call of the table in methods.ts. A call with effects is sent once: where the answer is lost, what it did
   * is to be found out from the pool. A getter whose answer is lost is sent once more. A session that xapi no longer
   * knows (which it checks before anything else) is replaced once.
   * Each may take so long and no longer, and all together no longer than the session: then it is XapiReplyLost, or
   * XapiTimeUp where it was not sent.
   * @throws XapiError for what the pool refuses; the errors of transport-errors.ts
   */
  call<M extends Method>(method: M, ...args: Arguments<M>): Promise<Result<M>>;
  /** Requests sent so far, with the logins and what was sent again. */
  readonly callCount: number;
}

/** A session and its end. */
export interface OpenSession {
  readonly session: Session;
  /** Logs out, if anything was called; never throws. Nothing can be called after. */
  end(): Promise<void>;
}

const SESSION_IS_OVER = 'the session is over';

/** How long one exchange may take, its answer read and understood, and what ends it before. */
export interface Limit {
  readonly seconds: number;
  readonly signal?: AbortSignal | undefined;
}

/** One exchange with one member, within a limit. */
export type Send = (member: URL, method: string, args: readonly WireValue[], limit: Limit) => Promise<Reply>;

export function openSession(
  send: Send,
  pool: KnownPool,
  credentials: CredentialsSource,
  { timing, signal }: { readonly timing: Timing; readonly signal: AbortSignal | undefined },
): OpenSession {
  let callCount = 0;
  let over = false;
  let current: Promise<Login> | undefined;

  const within = (limitOf: (method: string) => Limit): Ask => {
    return async (member, method, args) => {
      const limit = limitOf(method);
      callCount += 1;
      return send(member, method, args, limit);
    };
  };
  const ask = within((method) => ({ seconds: timing.secondsFor(method), signal }));

  const loggedIn = (): Promise<Login> => {
    if (over) throw new Error(SESSION_IS_OVER);
    if (current) return current;
    const login = logIn(ask, pool, credentials, signal);
    // A login that failed is kept, so that many calls in a session don't wait for a dead pool at each of them.
    current = login;
    return login;
  };
  /** Several calls at once may find the session gone; only the first of them makes way for a new login. */
  const forget = (login: Promise<Login>) => {
    if (current === login) current = undefined;
  };

  const askInSession = async (login: Login, method: Method, args: readonly WireValue[]) => {
    const attempt = async () => {
      if (over) throw new Error(SESSION_IS_OVER);
      return askMaster(ask, login.member, method, [login.sessionRef, ...args]);
    };
    const { member, reply } = await attempt().catch((error: unknown) => {
      if (!(error instanceof XapiReplyLost) || !onlyReads(method) || signal?.aborted) throw error;
      return attempt();
    });
    if (member !== login.member) pool.members.answered(member);
    login.member = member;
    if (reply.ok && method === 'host.get_all_records')
      await pool.members.learn(reply.value, () => poolUuidOf(ask, login).catch(() => undefined));
    return reply;
  };

  const call = async (method: Method, args: readonly WireValue[]): Promise<unknown> => {
    const first = loggedIn();
    let login = await first;
    let reply = await askInSession(login, method, args);
    if (isUnknownSession(reply, login)) {
      forget(first);
      login = await loggedIn();
      reply = await askInSession(login, method, args);
    }
    if (reply.ok) return reply.value;
    throw new XapiError(method, reply.description, [login.sessionRef]);
  };

  return {
    session: {
      call: (async (method: Method, ...args: (WireValue | undefined)[]) =>
        call(
          method,
          args.filter((arg) => arg !== undefined),
        )) as Session['call'],
      get callCount() {
        return callCount;
      },
    },
    async end() {
      over = true;
      const login = await current?.catch(() => undefined);
      if (login === undefined) return;
      const soon = within(() => ({ seconds: timing.logoutSeconds }));
      await askMaster(soon, login.member, 'session.logout', [login.sessionRef]).catch(() => {});
      await pool.members.keep();
    },
  };
}

/**
 * Whether it is our session that xapi does not know. A call that xapi passed on to another host may also fail with
 * SESSION_INVALID half way, for a session of xapi's own: that one must not be sent again.
 */
function isUnknownSession(reply: Reply, login: Login): boolean {
  return !reply.ok && reply.description[0] === 'SESSION_INVALID' && reply.description[1] === login.sessionRef;
}
