import { Deadline } from '../http/deadline.ts';
import { type TrustOptions, trustOf } from '../http/trust.ts';
import { memberAddress } from './address.ts';
import { decodeReply, encodeCall } from './codec.ts';
import type { CredentialsSource, KnownPool } from './login.ts';
import { type MemberMemory, Members } from './members.ts';
import { openSession, type Send, type Session } from './session.ts';
import { timing } from './timing.ts';
import { createTransport } from './transport.ts';
import { XapiProtocolError, XapiReplyLost } from './transport-errors.ts';

/** The members' certificates are trusted by what they were signed with, or by fingerprint: each has its own. */
export interface PoolClientOptions extends TrustOptions {
  /** Members of the pool, as URLs (or bare names, for https); the first is tried first. Any of them will do. */
  readonly addresses: readonly string[];
  /** The most that one call may take; 24. */
  readonly callSeconds?: number;
  /** The most that a call may take which waits for an SR's driver (`takesLong` in methods.ts); 60. */
  readonly longCallSeconds?: number;
  /** The most bytes that are taken of the records of a class, such as all VMs; 128 MiB, those of some 12,000. */
  readonly maxRecordsBytes?: number;
  /** Keeps the members' addresses, which the pool tells, for the client of the next process. */
  readonly memory?: MemberMemory;
  /** What xapi counts our sessions under, apart from other clients' (500 at most for root); `xensnap`. */
  readonly originator?: string;
  /** Told of each request before it is sent, logins and logouts too. */
  readonly onCall?: (method: string) => void;
}

/** A client of one XenServer or XCP-ng pool. */
export interface PoolClient {
  /**
   * Runs `fn` with a session of its own. The login comes with the first call, so that who calls nothing logs in
   * nowhere; the logout comes whatever happens, and a failing logout is ignored.
   * @param options.signal aborts the calls and the login, not the logout
   * @param options.seconds all calls together may take no longer, the logout (5 s at most) aside
   * @throws what `fn` throws
   */
  withSession<T>(
    credentials: CredentialsSource,
    fn: (session: Session) => Promise<T>,
    options?: { readonly signal?: AbortSignal; readonly seconds?: number },
  ): Promise<T>;
  /**
   * Asks the first of the addresses alone, without a login: whoever answers is a xapi, and the one that was meant.
   * @throws XapiUnreachable, XapiCertificateMismatch, XapiReplyLost, XapiProtocolError
   */
  probe(): Promise<void>;
  /** Breaks all connections, and calls that are under way. */
  close(): Promise<void>;
}

/** @throws TypeError for an address, fingerprint or CA that is not valid, and for a fingerprint without TLS */
export function createPoolClient(options: PoolClientOptions): PoolClient {
  const addresses = options.addresses.map(memberAddress);
  const members = new Members(addresses, options.memory);
  const transport = createTransport(trustOf(options, ...addresses), options.maxRecordsBytes);
  const pool: KnownPool = { members, originator: options.originator ?? 'xensnap' };
  const { callSeconds = 24, longCallSeconds = 60 } = options;

  const send: Send = async (member, method, args, { seconds, signal }) => {
    const xml = encodeCall(method, args);
    options.onCall?.(method);
    const deadline = new Deadline(seconds, signal);
    const answer = await transport.post(member, method, xml, deadline);
    return decodeReply(answer, `${member.origin}: ${method}`, deadline).catch((error: unknown) => {
      throw error instanceof XapiProtocolError ? error : new XapiReplyLost(method, member.origin, error);
    });
  };

  return {
    async withSession(credentials, fn, { signal, seconds } = {}) {
      const limits = { timing: timing({ callSeconds, longCallSeconds }, seconds), signal };
      const { session, end } = openSession(send, pool, credentials, limits);
      try {
        return await fn(session);
      } finally {
        await end();
      }
    },
    async probe() {
      // Any answer will do: a master refuses the session, a member sends the caller to its master.
      const [first] = addresses;
      if (first) await send(first, 'pool.get_all', ['OpaqueRef:NULL'], { seconds: callSeconds });
    },
    close: () => transport.close(),
  };
}
