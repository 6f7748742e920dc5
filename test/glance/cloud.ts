import { randomUUID } from 'node:crypto';
import type { ApplicationCredential } from '../../glance/keystone.ts';
import { aServer } from '../glance-client/fake.ts';

/** Where run.sh has started a real Keystone, and a Glance that asks it who its callers are. */
export const keystoneUrl = process.env.XENSNAP_KEYSTONE_URL ?? '';
export const guardedGlanceUrl = process.env.XENSNAP_GLANCE_GUARDED_URL ?? '';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever Keystone says
  readonly body: any;
}

/** One request of the real Keystone. */
export async function askKeystone(
  method: string,
  path: string,
  body?: object,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${keystoneUrl}/v3${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text && JSON.parse(text) };
}

const DEFAULT = { domain: { id: 'default' } };

/** A login, and where its token is to be valid: in a project, a domain, the system, or nowhere. */
export async function tokenOf(name: string, password: string, scope?: object): Promise<string> {
  const identity = { methods: ['password'], password: { user: { name, ...DEFAULT, password } } };
  const answer = await askKeystone('POST', '/auth/tokens', { auth: { identity, ...(scope && { scope }) } });
  return answer.headers.get('x-subject-token') ?? '';
}

let ofAdmin: Promise<string> | undefined;

/** What only the administrator may. */
export async function asAdmin(method: string, path: string, body?: object, headers = {}): Promise<Answer> {
  ofAdmin ??= tokenOf('admin', 'admin', { project: { name: 'admin', ...DEFAULT } });
  const answer = await askKeystone(method, path, body, { 'x-auth-token': await ofAdmin, ...headers });
  if (answer.status >= 300)
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer;
}

/** A user with roles in a project. */
export interface Account {
  readonly userId: string;
  readonly userName: string;
  readonly projectId: string;
  /** A token of theirs for the project, or as `scope` says; null is for none. */
  token(scope?: object | null): Promise<string>;
  credential(settings?: object): Promise<ApplicationCredential>;
  deleteCredential(credential: ApplicationCredential): Promise<void>;
  /** Changes the user or the project. */
  change(of: 'users' | 'projects', fields: object): Promise<void>;
  grant(role: string): Promise<void>;
  takeAway(role: string): Promise<void>;
}

/** A new user, with roles in a project, a new one unless it is given. */
export async function anAccount(roles: readonly string[], inProject?: string): Promise<Account> {
  const userName = `user-${randomUUID()}`;
  const password = randomUUID();
  const user = (await asAdmin('POST', '/users', { user: { name: userName, password } })).body.user.id;
  const projectId: string =
    inProject ??
    (await asAdmin('POST', '/projects', { project: { name: `project-${userName}` } })).body.project.id;
  const change = async (method: string, role: string) => {
    const { body } = await asAdmin('GET', `/roles?name=${role}`);
    await asAdmin(method, `/projects/${projectId}/users/${user}/roles/${body.roles[0].id}`);
  };
  const account: Account = {
    userId: user,
    userName,
    projectId,
    token: (scope = { project: { id: projectId } }) => tokenOf(userName, password, scope ?? undefined),
    async credential(settings = {}) {
      const { body } = await askKeystone(
        'POST',
        `/users/${user}/application_credentials`,
        { application_credential: { name: randomUUID(), ...settings } },
        { 'x-auth-token': await account.token() },
      );
      const { id, secret } = body.application_credential;
      return { id, secret };
    },
    async deleteCredential({ id }) {
      const headers = { 'x-auth-token': await account.token() };
      await askKeystone('DELETE', `/users/${user}/application_credentials/${id}`, undefined, headers);
    },
    async change(of, fields) {
      const [id, kind] = of === 'users' ? [user, 'user'] : [projectId, 'project'];
      await asAdmin('PATCH', `/${of}/${id}`, { [kind]: fields });
    },
    grant: (role) => change('PUT', role),
    takeAway: (role) => change('DELETE', role),
  };
  for (const role of roles) await account.grant(role);
  return account;
}

export async function revoke(token: string): Promise<void> {
  await asAdmin('DELETE', '/auth/tokens', undefined, { 'x-subject-token': token });
}

/** Stands before Keystone, and sees the tokens that it issues. */
export interface Watched {
  readonly url: string;
  /** In their order. */
  readonly issued: string[];
  /** Runs before a token that was issued is handed on; it may revoke it. */
  onIssue: (token: string) => unknown;
}

export async function watchedKeystone(): Promise<Watched> {
  const watched: Watched = { url: '', issued: [], onIssue: () => {} };
  const url = await aServer(async (req, res) => {
    const body = Buffer.concat(await req.toArray());
    const headers = Object.fromEntries(
      ['content-type', 'x-auth-token', 'x-subject-token']
        .filter((name) => req.headers[name] !== undefined)
        .map((name) => [name, String(req.headers[name])]),
    );
    const answer = await fetch(`${keystoneUrl}${req.url}`, {
      method: req.method ?? 'GET',
      headers,
      ...(req.method === 'POST' && { body }),
    });
    const text = await answer.text();
    const token = answer.headers.get('x-subject-token');
    if (req.method === 'POST' && token !== null) {
      watched.issued.push(token);
      await watched.onIssue(token);
    }
    res.writeHead(answer.status, {
      'content-type': answer.headers.get('content-type') ?? 'text/plain',
      ...(token !== null && { 'x-subject-token': token }),
    });
    res.end(text);
  });
  return Object.assign(watched, { url });
}
