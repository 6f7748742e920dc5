import { ApiRefused, ApiUnreachable, UsageFailure } from './failures.ts';

const DEFAULT_API = 'http://127.0.0.1:8700';
/** A snapshot is accepted once VM, pool and Glance were looked at: some seconds, more where a pool is slow. */
const ANSWER_SECONDS = 120;

/** Speaks to the xensnap API; answers are JSON documents. */
export interface ApiClient {
  /** Whether the service runs on this machine. */
  readonly isLocal: boolean;
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: object): Promise<T>;
  delete<T>(path: string): Promise<T>;
}

/**
 * A client for the API at `url`, else at what XENSNAP_API says, else on this machine.
 * @throws UsageFailure for a URL that is none
 */
export function createClient(url: string | undefined): ApiClient {
  const address = url ?? process.env.XENSNAP_API ?? DEFAULT_API;
  const parsed = URL.parse(address);
  if (!parsed || !/^https?:$/.test(parsed.protocol))
    throw new UsageFailure(`${JSON.stringify(address)} is no http(s) URL of an API`);
  const base = address.replace(/\/+$/, '');
  return {
    isLocal: /^(127\.|localhost$|\[::1\]$)/.test(parsed.hostname),
    get: (path) => ask(base, 'GET', path),
    post: (path, body) => ask(base, 'POST', path, body),
    delete: (path) => ask(base, 'DELETE', path),
  };
}

async function ask<T>(base: string, method: string, path: string, body?: object): Promise<T> {
  const { status, text } = await send(base, method, path, body);
  const answer = parse(text);
  if (status >= 200 && status < 300 && answer !== undefined) return answer as T;
  const message = (answer as { error?: { message?: unknown } } | undefined)?.error?.message;
  if (typeof message === 'string') throw new ApiRefused(message, status);
  throw new ApiUnreachable(`${base} does not answer as xensnap does (HTTP ${status} to ${method} ${path})`);
}

async function send(base: string, method: string, path: string, body?: object) {
  try {
    const response = await fetch(`${base}${path}`, {
      method,
      signal: AbortSignal.timeout(ANSWER_SECONDS * 1000),
      ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    return { status: response.status, text: await response.text() };
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'TimeoutError')
      throw new ApiUnreachable(`${base} did not answer ${method} ${path} in ${ANSWER_SECONDS} seconds`, {
        cause,
      });
    const hint = 'is "npm start" running? (XENSNAP_API names another address)';
    throw new ApiUnreachable(`nothing answers at ${base} - ${hint}`, { cause });
  }
}

function parse(text: string): object | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === 'object' && answer !== null ? answer : undefined;
  } catch {
    return undefined;
  }
}
