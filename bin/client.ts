import { plainText } from '../glance/plaintext.ts';
import { withoutEndSlashes } from '../http/address.ts';
import { AnswerTooLarge, CappedBody } from '../http/capped.ts';
import { hide } from '../http/hide.ts';
import { isLocal, withStrictQuery } from './address.ts';
import type { Authentication, AuthOptions } from './auth/authentication.ts';
import { chooseAuthentication } from './auth/choose.ts';
import { ApiRefused, ApiUnreachable, type Refusal, UsageFailure } from './failures.ts';
import { printable } from './format.ts';

const DEFAULT_API = 'http://127.0.0.1:8700';
/** A snapshot is accepted once VM, pool and Glance were looked at: some seconds, more where a pool is slow. */
const ANSWER_SECONDS = 120;
/** API Gateway lets through 6 MB of a Lambda's; lists are cut into pages far below that. */
const MAX_ANSWER_BYTES = 8 * 2 ** 20;

/** Where the API is, and how it is told who asks. */
export interface ClientOptions extends AuthOptions {
  /** Without it what XENSNAP_API says, else this machine. */
  readonly api?: string;
}

/** Speaks to the xensnap API; answers are JSON documents. */
export interface ApiClient {
  /** Whether the service runs on this machine. */
  readonly isLocal: boolean;
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: object): Promise<T>;
  put<T>(path: string, body: object): Promise<T>;
  /** Undefined where the API says no more than that it is done. */
  delete<T>(path: string): Promise<T>;
}

interface Api {
  /** Without a slash at its end. */
  readonly base: string;
  readonly isLocal: boolean;
  readonly authentication: Authentication;
}

/**
 * A client for the API.
 * @throws UsageFailure for a URL that is none, and for options of authentication that do not go together
 */
export function createClient({
  api: address = process.env.XENSNAP_API ?? DEFAULT_API,
  ...auth
}: ClientOptions): ApiClient {
  const url = URL.parse(address);
  if (!url || !/^https?:$/.test(url.protocol))
    throw new UsageFailure(`${JSON.stringify(address)} is no http(s) URL of an API`);
  if (url.username || url.password)
    throw new UsageFailure("an API's address holds no user and no password: see --auth");
  const base = withoutEndSlashes(address);
  const api = { base, isLocal: isLocal(url), authentication: chooseAuthentication(url, auth) };
  return {
    isLocal: api.isLocal,
    get: (path) => ask(api, 'GET', path),
    post: (path, body) => ask(api, 'POST', path, body),
    put: (path, body) => ask(api, 'PUT', path, body),
    delete: (path) => ask(api, 'DELETE', path),
  };
}

async function ask<T>(api: Api, method: string, path: string, body?: object): Promise<T> {
  const { status, text, secrets } = await send(api, method, path, body);
  if (status === 204) return undefined as T;
  const answer = parse(text);
  if (status >= 200 && status < 300 && answer !== undefined) return answer as T;
  const { advice } = api.authentication;
  const refusal = (parse(hide(text, secrets)) as { error?: Refusal } | undefined)?.error;
  if (typeof refusal?.message === 'string')
    throw new ApiRefused(`${refusal.message}${status === 401 ? ` - ${advice}` : ''}`, status, refusal);
  const what = `HTTP ${status} to ${method} ${path}`;
  if (status === 401 || status === 403) {
    // API Gateway's answer, which never came to xensnap.
    const said = printable(plainText(hide(text, secrets)));
    throw new ApiRefused(`${api.base} refused, ${what}${said && ` (${said})`} - ${advice}`, status);
  }
  throw new ApiUnreachable(`${api.base} does not answer as xensnap does (${what})`);
}

async function send({ base, isLocal, authentication }: Api, method: string, path: string, body?: object) {
  const request = {
    method,
    url: withStrictQuery(new URL(`${base}${path}`)),
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  };
  const proof = await authentication.prove(request);
  try {
    const response = await fetch(request.url, {
      ...request,
      headers: { ...request.headers, ...proof.headers },
      // Elsewhere a signature is worth nothing, and a token is nobody's business.
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_SECONDS * 1000),
    });
    return { status: response.status, text: await textOf(response), secrets: proof.secrets };
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'TimeoutError')
      throw new ApiUnreachable(`${base} did not answer ${method} ${path} in ${ANSWER_SECONDS} seconds`, {
        cause,
      });
    if (cause instanceof AnswerTooLarge)
      throw new ApiUnreachable(
        `${base} does not answer as xensnap does (${method} ${path}: ${cause.message})`,
        {
          cause,
        },
      );
    const hint = isLocal
      ? 'is "npm start" running? (XENSNAP_API names another address)'
      : `is the address right, and its certificate trusted?${reason(cause)}`;
    throw new ApiUnreachable(`nothing answers at ${base} - ${hint}`, { cause });
  }
}

/** Counted as it is when fetch has undone its encoding, which may make much of little. */
async function textOf({ body }: Response): Promise<string> {
  const taken = new CappedBody(MAX_ANSWER_BYTES);
  for await (const chunk of body ?? []) taken.take(chunk);
  return taken.text;
}

/** Such as ENOTFOUND; what fetch itself says is no more than that it failed. */
function reason(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error ? ` (${'code' in cause ? cause.code : cause.message})` : '';
}

function parse(text: string): object | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === 'object' && answer !== null ? answer : undefined;
  } catch {
    return undefined;
  }
}
