import { reasonOf } from '../http/reason.ts';
import { type Ask, askMaster } from './ask.ts';
import { isCode, XapiError } from './errors.ts';
import { answering } from './knock.ts';
import type { Members } from './members.ts';
import {
  XapiCertificateMismatch,
  XapiProtocolError,
  XapiReplyLost,
  XapiTimeUp,
  XapiUnreachable,
} from './transport-errors.ts';

/** User name and password of the account that logs in. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Given as they are, or fetched at each login. */
export type CredentialsSource = Credentials | (() => Promise<Credentials>);

/** What a client knows of its pool. */
export interface KnownPool {
  readonly members: Members;
  readonly originator: string;
}

/** A session on a pool; any member's reference is known to its master. */
export interface Login {
  readonly sessionRef: string;
  member: URL;
}

/**
 * Logs in at the first member that can be reached. Nothing was done yet that could happen twice, so the next one is
 * tried also after a lost reply, which at worst leaves a session behind that xapi's garbage collector takes after 24
 * hours. No member is asked twice that was away, also where the others send to it as their master. One that only the
 * pool named is left out, and named in the error, when it shows no certificate that is trusted or is no xapi.
 * @throws XapiUnreachable when no member answered, or all are still booting; XapiError for a refusal
 * @throws XapiCertificateMismatch of a member that was configured, or of the master that it named
 */
export async function logIn(
  ask: Ask,
  { members, originator }: KnownPool,
  source: CredentialsSource,
  signal?: AbortSignal,
): Promise<Login> {
  const { username, password } = typeof source === 'function' ? await source() : source;
  const method = 'session.login_with_password';
  // The third is the client's API version, which xapi ignores (xapi_session.ml).
  const args = [username, password, '1.0', originator];
  const away = new Map<string, unknown>();
  const askOnce: Ask = async (member, ...request) => {
    if (away.has(member.origin)) throw away.get(member.origin);
    try {
      return await ask(member, ...request);
    } catch (error) {
      away.set(member.origin, error);
      throw error;
    }
  };
  const failures = new Set<unknown>();
  const tryAt = async (address: URL): Promise<Login | undefined> => {
    try {
      const { member, reply } = await askMaster(askOnce, address, method, args);
      if (!reply.ok) throw new XapiError(method, reply.description, [password]);
      if (typeof reply.value !== 'string')
        throw new XapiProtocolError(`${member.origin}: no session reference`);
      const login = { sessionRef: reply.value, member };
      if (members.isLearned(address)) await refuseOtherPool(askOnce, login, members.pool);
      members.answered(member);
      return login;
    } catch (error) {
      if (signal?.aborted) throw error instanceof XapiReplyLost ? notBegun(error) : error;
      if (!(meansAway(error) || (members.isLearned(address) && isStranger(error)))) throw error;
      failures.add(error);
      return undefined;
    }
  };
  const { first, learned } = await members.toAsk();
  for (const address of first) {
    const login = await tryAt(address);
    if (login) return login;
  }
  for (const address of await answering(learned, (error) => failures.add(error))) {
    const login = await tryAt(address);
    if (login) return login;
  }
  members.answered(undefined);
  throw unreachable([...first, ...learned], [...failures]);
}

/** UUID of the pool that a session is of. Undefined where xapi does not say it in the usual way. */
export async function poolUuidOf(ask: Ask, { member, sessionRef }: Login): Promise<string | undefined> {
  const { reply } = await askMaster(ask, member, 'pool.get_all_records', [sessionRef]);
  const [record] = reply.ok ? Object.values(reply.value as Record<string, { uuid?: unknown }>) : [];
  return typeof record?.uuid === 'string' ? record.uuid : undefined;
}

async function refuseOtherPool(ask: Ask, login: Login, expected: string | undefined): Promise<void> {
  const found = await poolUuidOf(ask, login);
  if (found === expected) return;
  await ask(login.member, 'session.logout', [login.sessionRef]).catch(() => {});
  throw new XapiUnreachable(`${login.member.origin} is of another pool now: ${found}, not ${expected}`);
}

function meansAway(error: unknown): boolean {
  return (
    error instanceof XapiUnreachable ||
    error instanceof XapiReplyLost ||
    error instanceof XapiTimeUp ||
    error instanceof XapiProtocolError ||
    isCode(error, 'HOST_STILL_BOOTING')
  );
}

function isStranger(error: unknown): boolean {
  return error instanceof XapiCertificateMismatch;
}

/** The time was up at the login: what was to be called was not sent, and must not be taken for under way. */
function notBegun(error: XapiReplyLost): XapiUnreachable {
  return new XapiUnreachable(`no login in time: ${reasonOf(error)}`, { cause: error });
}

function unreachable(asked: readonly URL[], failures: readonly unknown[]): XapiUnreachable {
  const [only] = failures;
  if (failures.length === 1 && only instanceof XapiUnreachable) return only;
  const members = asked.map(({ origin }) => origin).join(', ');
  const reasons = failures.map(reasonOf).join('; ');
  const cause = failures.length === 1 ? only : new AggregateError(failures, reasons);
  return new XapiUnreachable(`no login at ${members}: ${reasons}`, { cause });
}
