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
/** The tokens of callers that the stub knows, and their projects. */
export const CALLERS = { alice: 'project-a', bob: 'project-b', root: 'project-ops' } as const;

/** A Keystone v3 that issues tokens for one application credential and one user, and tells whose a token is. Ends with the test. */
export interface StubKeystone {
  readonly url: string;
  /** `POST` for each token asked for, `GET` for each that was looked at. */
  readonly requests: string[];
  /** Of the service's tokens, which it no longer takes once they are taken out. */
  readonly valid: Set<string>;
  /** Issued in this order before random ones. */
  readonly next: string[];
  /** How long the next token lives. */
  lifetimeSeconds: number;
  /** Answers all requests this way, once it is set. */
  answer?: (req: IncomingMessage, res: ServerResponse) => void;
}

export async function stubKeystone(now: () => Date = () => new Date()): Promise<StubKeystone> {
  const stub = {
    requests: [] as string[],
    valid: new Set<string>(),
    next: [] as string[],
    lifetimeSeconds: 3600,
  } as StubKeystone;
  const url = await aServer(async (req, res) => {
    const text = Buffer.concat(await req.toArray()).toString();
    stub.requests.push(req.method ?? '');
    if (stub.answer) return stub.answer(req, res);
    if (req.url !== '/v3/auth/tokens') return send(res, 404, { error: { code: 404, message: 'Not Found' } });
    if (req.method === 'POST') return issue(stub, now(), JSON.parse(text), res);
    const caller = String(req.headers['x-subject-token']);
    if (!stub.valid.has(String(req.headers['x-auth-token']))) return send(res, 401, UNAUTHORIZED);
    const project = CALLERS[caller as keyof typeof CALLERS];
    // A real one quotes the token here, too.
    if (!project && caller !== 'unscoped')
      return send(res, 404, { error: { code: 404, message: `Could not find token: ${caller}.` } });
    send(
      res,
      200,
      tokenOf(`user-${caller}`, project, new Date(now().getTime() + 1000 * stub.lifetimeSeconds)),
    );
  });
  return Object.assign(stub, { url });
}

const UNAUTHORIZED = {
  error: { code: 401, message: 'The request you have made requires authentication.', title: 'Unauthorized' },
};

function issue(
  stub: StubKeystone,
  now: Date,
  // biome-ignore lint/suspicious/noExplicitAny: what was sent is what is looked at
  body: any,
  res: ServerResponse,
): void {
  const { user, password, project } = LOGIN;
  const known = [
    { identity: { methods: ['application_credential'], application_credential: CREDENTIAL } },
    { identity: { methods: ['password'], password: { user: { ...user, password } } }, scope: { project } },
  ];
  if (!known.some((auth) => isDeepStrictEqual(auth, body.auth))) {
    send(res, 401, UNAUTHORIZED);
    return;
  }
  const token = stub.next.shift() ?? `service-token-${randomUUID()}`;
  stub.valid.add(token);
  const expires = new Date(now.getTime() + 1000 * stub.lifetimeSeconds);
  send(res, 201, tokenOf('xensnap', 'service', expires), { 'x-subject-token': token });
}

function tokenOf(userId: string, projectId: string | undefined, expires: Date) {
  const project = projectId !== undefined && { project: { id: projectId, name: projectId } };
  // Keystone writes microseconds.
  const expires_at = expires.toISOString().replace('Z', '000Z');
  const roles = projectId !== undefined && {
    roles: ['member', 'reader'].map((name) => ({ id: `role-${name}`, name })),
  };
  return {
    token: { methods: ['token'], user: { id: userId, name: userId }, ...project, ...roles, expires_at },
  };
}

function send(res: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  res.writeHead(status, { 'content-type': 'application/json', ...headers });
  res.end(JSON.stringify(body));
}
