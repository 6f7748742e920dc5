import { type Ask, askMaster } from './ask.ts';
import { isCode, XapiError } from './errors.ts';
import { reasonOf, XapiProtocolError, XapiReplyLost, XapiUnreachable } from './transport-errors.ts';

/** Who logs in. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Given as they are, or fetched at each login. */
export type CredentialsSource = Credentials | (() => Promise<Credentials>);

/** What a client knows of its pool; `master` is who answered the last login, and is asked first. */
export interface KnownPool {
  readonly addresses: readonly URL[];
  readonly originator: string;
  master: URL | undefined;
}

/** A session on a pool; any member's reference is known to its master. */
export interface Login {
  readonly sessionRef: string;
  member: URL;
}

/**
 * Logs in at the first member that can be reached. Nothing was done yet that could happen twice, so the next one is
 * tried also after a lost reply, which at worst leaves a session behind that xapi's garbage collector takes after 24
 * hours.
 * @throws XapiUnreachable when no member answered, or all are still booting; XapiError for a refusal
 */
export async function logIn(
  ask: Ask,
  pool: KnownPool,
  source: CredentialsSource,
  signal?: AbortSignal,
): Promise<Login> {
  const { username, password } = typeof source === 'function' ? await source() : source;
  const failures: unknown[] = [];
  for (const address of candidates(pool)) {
    try {
      const method = 'session.login_with_password';
      // The third is the client's API version, which xapi ignores (xapi_session.ml).
      const args = [username, password, '1.0', pool.originator];
      const { member, reply } = await askMaster(ask, address, method, args, signal);
      if (!reply.ok) throw new XapiError(method, reply.description, [password]);
      if (typeof reply.value !== 'string')
        throw new XapiProtocolError(`${member.origin}: no session reference`);
      pool.master = member;
      return { sessionRef: reply.value, member };
    } catch (error) {
      if (signal?.aborted || !meansAway(error)) throw error;
      failures.push(error);
    }
  }
  pool.master = undefined;
  throw unreachable(pool, failures);
}

function candidates(pool: KnownPool): URL[] {
  const all = pool.master ? [pool.master, ...pool.addresses] : pool.addresses;
  return [...new Map(all.map((address) => [address.origin, address])).values()];
}

function meansAway(error: unknown): boolean {
  return (
    error instanceof XapiUnreachable || error instanceof XapiReplyLost || isCode(error, 'HOST_STILL_BOOTING')
  );
}

function unreachable(pool: KnownPool, failures: readonly unknown[]): XapiUnreachable {
  const [only] = failures;
  if (failures.length === 1 && only instanceof XapiUnreachable) return only;
  const members = pool.addresses.map(({ origin }) => origin).join(', ');
  const reasons = failures.map(reasonOf).join('; ');
  const cause = failures.length === 1 ? only : new AggregateError(failures, reasons);
  return new XapiUnreachable(`no login at ${members}: ${reasons}`, { cause });
}
