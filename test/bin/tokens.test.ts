import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CREDENTIAL, LOGIN, stubKeystone } from '../glance-client/stub-keystone.ts';
import { xensnap } from './command-line.ts';
import { stubApi } from './stub-api.ts';

const TOKEN = 'planted-token';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xensnap-tokens-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A file of this text. */
async function aFile(name: string, text: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, text);
  return file;
}

const anApi = () => stubApi({ 'GET /vms': () => [200, { vms: [] }] });

/** The header of the one request that a run of `vms` made. */
async function sentBy(args: readonly string[], env: Record<string, string>, header: string) {
  await using api = await anApi();
  const { status, stdout, stderr } = await xensnap(['vms', '--api', api.url, ...args], env);
  expect([status, stdout, stderr]).toEqual([0, 'No VMs.\n', '']);
  expect(api.received).toHaveLength(1);
  return api.received[0]?.headers[header];
}

it('sends X-Auth-Token: of a file, else of OS_TOKEN', async () => {
  const file = await aFile('token', `${TOKEN}\n`);
  const env = { OS_TOKEN: 'another' };
  expect(await sentBy(['--auth', 'token', '--token-file', file], env, 'x-auth-token')).toBe(TOKEN);
  expect(await sentBy(['--auth', 'token'], env, 'x-auth-token')).toBe('another');
  expect(await sentBy([], { ...env, XENSNAP_AUTH: 'token' }, 'x-auth-token')).toBe('another');
});

it('sends a bearer token: of a file, else of XENSNAP_TOKEN', async () => {
  const file = await aFile('bearer', TOKEN);
  const env = { XENSNAP_TOKEN: 'another' };
  expect(await sentBy(['--auth', 'bearer', '--token-file', file], env, 'authorization')).toBe(
    `Bearer ${TOKEN}`,
  );
  expect(await sentBy(['--auth', 'bearer'], env, 'authorization')).toBe('Bearer another');
});

it('sends nothing of the environment to this machine unless it is told to', async () => {
  const env = { OS_TOKEN: TOKEN, XENSNAP_TOKEN: TOKEN, AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' };
  await using api = await anApi();
  await xensnap(['vms', '--api', api.url], env);
  expect(api.received).toHaveLength(1);
  expect(Object.keys(api.received[0]?.headers ?? {})).not.toContain('authorization');
  expect(JSON.stringify(api.received)).not.toContain(TOKEN);
});

it.each([
  [
    'an application credential',
    { OS_APPLICATION_CREDENTIAL_ID: CREDENTIAL.id, OS_APPLICATION_CREDENTIAL_SECRET: CREDENTIAL.secret },
  ],
  [
    'user and password',
    {
      OS_USERNAME: LOGIN.user.name,
      OS_PASSWORD: LOGIN.password,
      OS_PROJECT_NAME: LOGIN.project.name,
      OS_PROJECT_DOMAIN_NAME: LOGIN.project.domain.name,
    },
  ],
])('gets its token from Keystone for %s', async (_of, env) => {
  const keystone = await stubKeystone();
  const token = await sentBy(
    ['--auth', 'token'],
    { OS_AUTH_URL: `${keystone.url}/v3`, ...env },
    'x-auth-token',
  );
  expect([...keystone.valid]).toEqual([token]);
});

it.each([
  [['--auth', 'token'], 'OS_TOKEN, or OS_AUTH_URL with OS_APPLICATION_CREDENTIAL_ID'],
  [['--auth', 'bearer'], '--auth bearer needs --token-file or XENSNAP_TOKEN'],
  [['--auth', 'token', '--token-file', '/nowhere/token'], 'cannot read /nowhere/token'],
])('says in one line what %j lacks, and asks nothing', async (args, said) => {
  await using api = await anApi();
  // Half a login is none.
  const { status, stdout, stderr } = await xensnap(['vms', '--api', api.url, ...args], {
    OS_AUTH_URL: api.url,
  });
  expect([status, stdout, api.received]).toEqual([1, '', []]);
  expect(stderr).toMatch(/^xensnap: .*\n$/);
  expect(stderr).toContain(said);
});

it('does not send or show a token that cannot stand in a header', async () => {
  await using api = await anApi();
  const { status, stderr } = await xensnap(['vms', '--api', api.url, '--auth', 'bearer'], {
    XENSNAP_TOKEN: 'planted token',
  });
  expect([status, api.received]).toEqual([1, []]);
  expect(stderr).toContain('cannot stand in a header');
  expect(stderr).not.toContain('planted');
});

it('tells what Keystone refused, and that it is away, without the secret', async () => {
  await using api = await anApi();
  const keystone = await stubKeystone();
  const run = (url: string) =>
    xensnap(['vms', '--api', api.url, '--auth', 'token'], {
      OS_AUTH_URL: url,
      OS_APPLICATION_CREDENTIAL_ID: CREDENTIAL.id,
      OS_APPLICATION_CREDENTIAL_SECRET: 'planted-wrong-secret',
    });
  const refused = await run(keystone.url);
  expect([refused.status, refused.stdout]).toEqual([1, '']);
  expect(refused.stderr).toContain('it does not take the application credential: is its secret mistyped');
  const away = await run('http://127.0.0.1:9');
  expect(away.status).toBe(1);
  expect(away.stderr).toContain('Keystone at http://127.0.0.1:9 did not answer');
  expect((await run('keystone')).stderr).toContain('OS_AUTH_URL: keystone is no http(s) URL');
  expect(refused.stderr + away.stderr).not.toContain('planted');
  expect(api.received).toEqual([]);
});

it.each([
  [[], 401, 'set --auth (or XENSNAP_AUTH) to iam, token or bearer'],
  [['--auth', 'token'], 403, 'its project may not use the API: get a new one'],
  [['--auth', 'bearer'], 401, 'issuer and audience that the API wants: get a new one'],
])('says what to set when %j is answered %i', async (args, code, said) => {
  await using api = await stubApi({ 'GET /vms': () => [code, { message: `No ${TOKEN}` }] });
  const { status, stdout, stderr } = await xensnap(['vms', '--api', api.url, ...args], {
    OS_TOKEN: TOKEN,
    XENSNAP_TOKEN: TOKEN,
  });
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/^xensnap: .*\n$/);
  expect(stderr).toContain(`HTTP ${code} to GET /vms (No `);
  expect(stderr).toContain(said);
  if (args.length > 0) expect(stderr).not.toContain(TOKEN);
});

it('passes on what xensnap itself forbids, without advice', async () => {
  const error = { name: 'Forbidden', message: 'Your project may not use this API.' };
  await using api = await stubApi({ 'GET /vms': () => [403, { error }] });
  const { stderr } = await xensnap(['vms', '--api', api.url, '--auth', 'token'], { OS_TOKEN: TOKEN });
  expect(stderr).toBe('xensnap: Your project may not use this API.\n');
});
