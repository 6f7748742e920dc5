import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import { aServer } from './fake.ts';

export const CREDENTIAL = { id: 'cred-1', secret: 'planted-keystone-secret' };
/** A user's login to the project `service`. */
export const LOGIN = {
  user: { name: 'ops', domain: { id: 'default' } },
  password: 'planted-keystone-password',
  project: { name: 'service', domain: { name: 'Ops' } },
};

const project = (id: string) => ({ project: { id, name: id }, is_domain: false });
const roles = (...names: string[]) => ({ roles: names.map((name) => ({ id: `role-${name}`, name })) });

/** The tokens of callers that the stub knows: where they are valid, and with which roles. */
export const CALLERS: Readonly<Record<string, object>> = {
  alice: { ...project('project-a'), ...roles('member', 'reader') },
  rita: { ...project('project-a'), ...roles('reader') },
  carol: { ...project('project-a'), ...roles('Auditor') },
  bob: { ...project('project-b'), ...roles('member', 'reader') },
  root: { ...project('project-ops'), ...roles('reader', 'member', 'admin') },
  unscoped: {},
  'of-a-domain': { domain: { id: 'project-ops', name: 'Ops' }, ...roles('admin') },
  'of-a-domain-as-project': { ...project('project-ops'), is_domain: true, ...roles('admin') },
  'of-the-system': { system: { all: true }, ...roles('admin', 'member', 'reader') },
};

/** What has become of the application credential since it was made; `refused` stands for all that is answered 401. */
type Fate = 'valid' | 'deleted' | 'refused' | 'project disabled';

/**
 * A Keystone v3 that issues tokens for one application credential and one user, and tells whose a token is. Ends with
 * the test. Its refusals are those of Keystone 22 (test/glance/keystone.test.ts).
 */
export interface StubKeystone {
  readonly url: string;
  /** `POST` for each token asked for, `GET` for each that was looked at. */
  readonly requests: string[];
  /** The service's tokens; one that is taken out is no longer accepted. */
  readonly valid: Set<string>;
  /** Issued in this order before random ones. */
  readonly next: string[];
  /** How long the next token lives. */
  lifetimeSeconds: number;
  credential: Fate;
  /** Answers all requests this way, once it is set. */
  answer?: (req: IncomingMessage, res: ServerResponse) => void;
}

export async function stubKeystone(now: () => Date = () => new Date()): Promise<StubKeystone> {
  const stub = {
    requests: [] as string[],
    valid: new Set<string>(),
    next: [] as string[],
    lifetimeSeconds: 3600,
    credential: 'valid',
  } as StubKeystone;
  const url = await aServer(async (req, res) => {
    const text = Buffer.concat(await req.toArray()).toString();
    stub.requests.push(req.method ?? '');
    if (stub.answer) return stub.answer(req, res);
    const { status, body, headers } = answerTo(stub, req, text, now());
    res.writeHead(status, { 'content-type': 'application/json', ...headers });
    res.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  return Object.assign(stub, { url });
}

interface Answer {
  readonly status: number;
  readonly body: object | string;
  readonly headers?: Readonly<Record<string, string>>;
}

function answerTo(
  stub: StubKeystone,
  { method, url, headers }: IncomingMessage,
  text: string,
  now: Date,
): Answer {
  const expires = new Date(now.getTime() + 1000 * stub.lifetimeSeconds);
  if (url !== '/v3/auth/tokens') return UNROUTED;
  if (method === 'POST') return issue(stub, JSON.parse(text).auth, expires);
  return look(stub, String(headers['x-auth-token']), String(headers['x-subject-token']), expires);
}

function issue(stub: StubKeystone, auth: Record<string, unknown>, expires: Date): Answer {
  const { user, password, project: scope } = LOGIN;
  const login = {
    identity: { methods: ['password'], password: { user: { ...user, password } } },
    scope: { project: scope },
  };
  // biome-ignore lint/suspicious/noExplicitAny: what was sent is what is looked at
  const sent = (auth.identity as any)?.application_credential;
  if (sent?.id === '') return REFUSALS.emptyCredential;
  if (sent && (sent.id !== CREDENTIAL.id || stub.credential === 'deleted'))
    return REFUSALS.noCredential(sent.id);
  if (sent && (sent.secret !== CREDENTIAL.secret || stub.credential === 'refused'))
    return REFUSALS.unauthorized;
  if (sent && stub.credential === 'project disabled') return REFUSALS.projectDisabled('service');
  if (!sent && !isDeepStrictEqual(login, auth)) return REFUSALS.unauthorized;
  const token = stub.next.shift() ?? `service-token-${randomUUID()}`;
  stub.valid.add(token);
  const { body } = tokenOf('xensnap', { ...project('service'), ...roles('member', 'reader') }, expires);
  return { status: 201, body, headers: { 'x-subject-token': token } };
}

/** Answers alike for the token that asks and the one asked about, unless one was revoked or has expired. */
function look(stub: StubKeystone, own: string, subject: string, expires: Date): Answer {
  if (!stub.valid.has(own) || stub.credential === 'refused') return REFUSALS.unauthorized;
  if (stub.credential === 'deleted') return REFUSALS.noCredential(CREDENTIAL.id);
  if (stub.credential === 'project disabled') return REFUSALS.projectDisabled('service');
  if (stub.valid.has(subject)) return tokenOf('xensnap', project('service'), expires);
  const caller = CALLERS[subject];
  if (caller) return tokenOf(`user-${subject}`, caller, expires);
  return subject === 'revoked' ? REFUSALS.pastToken : REFUSALS.noToken;
}

function tokenOf(userId: string, scope: object, expires: Date): Answer {
  // Keystone writes microseconds.
  const expires_at = expires.toISOString().replace('Z', '000Z');
  const token = { methods: ['token'], user: { id: userId, name: userId }, ...scope, expires_at };
  return { status: 200, body: { token } };
}

/** What Keystone refuses with: the same of the real one and of the stub. */
export const REFUSALS = {
  /** A secret or password that is wrong, a credential that is over, a user who is disabled or lost a role, an own token
   * that is no more valid. */
  unauthorized: refusal(401, 'Unauthorized', 'The request you have made requires authentication.'),
  noCredential: (id: string) => refusal(404, 'Not Found', `Could not find Application Credential: ${id}.`),
  emptyCredential: refusal(
    400,
    'Bad Request',
    'Expecting to find name or ID in application credential. The server could not comply with the request since it ' +
      'is either malformed or otherwise incorrect. The client is assumed to be in error.',
  ),
  projectDisabled: (id: string) =>
    refusal(404, 'Not Found', `Unable to validate token because project ${id} is disabled`),
  /** The answers about a token that never was, and about one that no longer is. */
  noToken: refusal(404, 'Not Found', 'Could not recognize Fernet token'),
  pastToken: refusal(404, 'Not Found', 'Failed to validate token'),
  /** Who asks may ask about no token but their own. */
  mayNotLook: refusal(
    403,
    'Forbidden',
    'You are not authorized to perform the requested action: identity:validate_token.',
  ),
} as const;

function refusal(code: number, title: string, message: string): Answer {
  return { status: code, body: { error: { code, message, title } } };
}

/** Where it has nothing, Flask answers for it. */
const UNROUTED: Answer = {
  status: 404,
  body: '<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>The requested URL …</p>\n',
  headers: { 'content-type': 'text/html; charset=utf-8' },
};
