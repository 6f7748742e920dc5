import * as z from 'zod';
import { withoutEndSlashes } from '../http/address.ts';
import type { TrustOptions } from '../http/trust.ts';
import { KeystoneUnauthorized, KeystoneUnavailable } from './errors.ts';
import { plainText } from './plaintext.ts';
import { type Answer, type Call, createTransport } from './transport.ts';

/** What Keystone calls an application credential: it belongs to one user and one project. */
export interface ApplicationCredential {
  readonly id: string;
  readonly secret: string;
}

/** A user or project: by id, or by name within a domain. */
export type Named =
  | { readonly id: string }
  | { readonly name: string; readonly domain: { readonly id: string } | { readonly name: string } };

/** A user's login to one project. */
export interface PasswordLogin {
  readonly user: Named;
  readonly password: string;
  readonly project: Named;
}

export type KeystoneCredential = ApplicationCredential | PasswordLogin;

export interface KeystoneOptions extends TrustOptions {
  /** the endpoint, with or without `/v3` */
  readonly url: string;
  /** asked for each new token, so that a changed secret counts at once */
  readonly credential: () => Promise<KeystoneCredential>;
  readonly clock: { now(): Date };
  /** for one whole request; 15 if not given */
  readonly timeoutSeconds?: number | undefined;
}

/** Whom a token belongs to. */
export interface Identity {
  readonly userId: string;
  readonly userName?: string | undefined;
  /** undefined for a token without a project: of a domain, of the system, or unscoped */
  readonly projectId: string | undefined;
  readonly projectName?: string | undefined;
  /** names, as Keystone has them; those that another role implies are among them */
  readonly roles: readonly string[];
  readonly expiresAt: Date;
}

/**
 * Keystone v3, as far as it takes to have a token and to know whose one is. Its errors are KeystoneUnauthorized,
 * KeystoneUnavailable and KeystoneCertificateMismatch; they hold neither the credential nor a token.
 */
export interface Keystone {
  /** A token of the credential's project, the same one until it has less than 5 minutes to go. */
  token(): Promise<string>;
  /** A new token, which {@link token} gives from then on. If none can be had, the earlier one stays. */
  renew(): Promise<string>;
  /** The token was refused where it was used: the next one is a new one. */
  forget(): void;
  /** Whom a caller's token belongs to; undefined for a token that is not, or no longer, valid. */
  identify(callersToken: string): Promise<Identity | undefined>;
  close(): Promise<void>;
}

/** Less than this, and a token may be over when a request with it arrives. */
const MIN_LEFT_MS = 300_000;

/** A token comes with the catalogue: 100 services in 10 regions, 3 addresses of 200 bytes each, are 600 KB. */
const MAX_TOKEN_BYTES = 2 * 2 ** 20;

/** @throws TypeError for a URL that is no Keystone's, and for what {@link trustOf} does not take */
export function createKeystone(options: KeystoneOptions): Keystone {
  const { clock } = options;
  const transport = createTransport({
    service: 'Keystone',
    endpoint: endpointOf(options.url),
    token: async () => undefined,
    trust: options,
    timeoutSeconds: options.timeoutSeconds ?? 15,
    maxBytes: MAX_TOKEN_BYTES,
  });
  let current: Issued | undefined;
  let asked: Promise<Issued> | undefined;

  async function issue(): Promise<Issued> {
    const credential = await options.credential();
    const answer = await transport.send({ method: 'POST', path: PATH, ...loginOf(credential) });
    if (answer.status !== 201) throw refusal('gave no token', answer, credential);
    const token = answer.headers['x-subject-token'];
    if (typeof token !== 'string') throw notKeystone(answer);
    return { token, expiresAt: read(answer).expiresAt };
  }

  async function token(): Promise<string> {
    if (current && current.expiresAt.getTime() - clock.now().getTime() >= MIN_LEFT_MS) return current.token;
    return renew();
  }

  /** Asks for a token once, however many callers want one at the same time; a failure is not kept. */
  async function renew(): Promise<string> {
    asked ??= issue().finally(() => {
      asked = undefined;
    });
    current = await asked;
    return current.token;
  }

  async function look(callersToken: string): Promise<Answer> {
    const headers = { 'x-auth-token': await token(), 'x-subject-token': callersToken };
    return transport.send({ method: 'GET', path: PATH, headers, secrets: Object.values(headers) });
  }

  /**
   * Whether a refusal may be of our own token, which is to be renewed then. Keystone says 401 of one that is revoked or
   * over; but of one whose credential, user or project went away 404, as it does of the token that was asked about.
   */
  async function isOurs({ status }: Answer): Promise<boolean> {
    if (status !== 404) return status === 401;
    return (await look(await token())).status !== 200;
  }

  return {
    token,
    renew,
    forget() {
      current = undefined;
    },
    async identify(callersToken) {
      if (!/^[\x21-\x7e]+$/.test(callersToken)) return undefined;
      let answer = await look(callersToken);
      if (await isOurs(answer)) {
        current = undefined;
        answer = await look(callersToken);
      }
      if (answer.status === 404 && isOfKeystone(answer)) return undefined;
      if (answer.status !== 200) throw refusal('does not say whose a token is', answer);
      return read(answer);
    },
    close: () => transport.close(),
  };
}

const PATH = '/v3/auth/tokens';

/** The body of a request for a token, and what of it is secret. */
function loginOf(credential: KeystoneCredential): Pick<Call, 'body' | 'secrets'> {
  if ('secret' in credential) {
    const { id, secret } = credential;
    const identity = { methods: ['application_credential'], application_credential: { id, secret } };
    return { body: { auth: { identity } }, secrets: [id, secret] };
  }
  const { user, password, project } = credential;
  const identity = { methods: ['password'], password: { user: { ...user, password } } };
  return { body: { auth: { identity, scope: { project } } }, secrets: [password] };
}

interface Issued {
  readonly token: string;
  readonly expiresAt: Date;
}

const tokenOnTheWire = z.looseObject({
  token: z.looseObject({
    expires_at: z.coerce.date(),
    user: z.looseObject({ id: z.string(), name: z.string().optional() }),
    project: z.looseObject({ id: z.string(), name: z.string().optional() }).optional(),
    domain: z.looseObject({}).optional(),
    system: z.looseObject({}).optional(),
    is_domain: z.boolean().optional(),
    roles: z.array(z.looseObject({ name: z.string() })).default([]),
  }),
});

function read(answer: Answer): Identity {
  const parsed = tokenOnTheWire.safeParse(json(answer.body));
  // Without the cause, which may quote the answer.
  if (!parsed.success) throw notKeystone(answer);
  const { user, roles, expires_at: expiresAt, ...scope } = parsed.data.token;
  // A domain can be asked for as if it were a project.
  const project = scope.domain || scope.system || scope.is_domain ? undefined : scope.project;
  return {
    userId: user.id,
    userName: user.name,
    projectId: project?.id,
    projectName: project?.name,
    roles: roles.map(({ name }) => name),
    expiresAt,
  };
}

function endpointOf(url: string): string {
  const parsed = URL.parse(url);
  if (!parsed || !/^https?:$/.test(parsed.protocol))
    throw new TypeError(`${url} is no http(s) URL of a Keystone`);
  return `${parsed.origin}${withoutEndSlashes(parsed.pathname).replace(/\/v3$/, '')}`;
}

/**
 * What Keystone says itself, by its status: all of 400 to 499 is about what was asked with, and comes again as long as
 * that is the same. What something before Keystone says may be over in a minute.
 */
function refusal(what: string, answer: Answer, credential?: KeystoneCredential): Error {
  const { status, url, body } = answer;
  const said = plainText(body);
  const text = `Keystone ${what}: ${url} was answered ${status}${said && ` (${said})`}`;
  if (status >= 500 || status === 408 || status === 425 || status === 429)
    return new KeystoneUnavailable(`${text}; look at Keystone, or try later`);
  if (status === 403 && !credential)
    return new KeystoneUnauthorized(`${text}; the credential needs the role service, admin or a like one`);
  if (credential && (status === 401 || status === 403 || (status >= 400 && isOfKeystone(answer))))
    return new KeystoneUnauthorized(`${text}; ${adviceFor(status, credential)}`);
  return new KeystoneUnavailable(`${text}; is this the URL of a Keystone v3?`);
}

function adviceFor(status: number, credential: KeystoneCredential): string {
  if ('password' in credential) return 'are user, password, project and their domains right?';
  // Seen of Keystone 22 (Zed). Of a wrong id, and of a disabled project, it says 404.
  const why =
    status === 401
      ? 'is its secret mistyped, is it over (expires_at), is its user disabled, or was a role taken from them?'
      : 'was it deleted, is its id mistyped, or is its project disabled?';
  return `it does not take the application credential: ${why} Make one that is valid, and put its id and secret in place of this one's`;
}

/** Whether an error has the form that Keystone gives its own. */
function isOfKeystone({ body }: Answer): boolean {
  return errorOnTheWire.safeParse(json(body)).success;
}

const errorOnTheWire = z.looseObject({ error: z.looseObject({ code: z.number(), message: z.string() }) });

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function notKeystone({ url }: Answer): KeystoneUnavailable {
  return new KeystoneUnavailable(`${url} did not answer as a Keystone v3 does: is the URL right?`);
}
