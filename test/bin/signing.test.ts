import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { xensnap } from './command-line.ts';
import { type SigningKey, signatureFault } from './sigv4.ts';
import { type Answers, aJobView, JOB_ID, type StubApi, SUCCEEDED, stubApi } from './stub-api.ts';

const KEY = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: 'planted/secret+key' };
const ENV = { AWS_ACCESS_KEY_ID: KEY.accessKeyId, AWS_SECRET_ACCESS_KEY: KEY.secretAccessKey };
/** No credentials but those that a test gives: no files of this machine's user, no instance's. */
const NOWHERE = {
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: '/nowhere/config',
  AWS_SHARED_CREDENTIALS_FILE: '/nowhere/credentials',
};
const REGION = 'eu-central-1';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xensnap-signing-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs a command that signs; `env` beside the region's. */
const signed = (api: StubApi, args: readonly string[], env: Record<string, string>) =>
  xensnap([...args, '--auth', 'iam', '--api', api.url], { ...NOWHERE, AWS_REGION: REGION, ...env });

/** An API that answers those alone whose signature is right. */
function guarded(answers: Record<string, object>, key: SigningKey = KEY, region = REGION) {
  const checked: Answers = {};
  for (const [line, body] of Object.entries(answers))
    checked[line] = (request) => {
      const fault = signatureFault(request, key, { region, service: 'execute-api' });
      return fault === undefined ? [200, body] : [403, { message: fault }];
    };
  return stubApi(checked);
}

it('judges signatures as AWS does', () => {
  // "get-vanilla" of the test suite that AWS publishes for SigV4.
  const key = {
    accessKeyId: 'AKIDEXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  };
  const scope = { region: 'us-east-1', service: 'service' };
  const vanilla = {
    method: 'GET',
    target: '/',
    headers: {
      host: 'example.amazonaws.com',
      'x-amz-date': '20150830T123600Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, ' +
        'Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
    },
    body: '',
  };
  expect(signatureFault(vanilla, key, scope)).toBeUndefined();
  expect(signatureFault({ ...vanilla, method: 'PUT' }, key, scope)).toMatch(/^another signature/);
  expect(signatureFault({ ...vanilla, headers: {} }, key, scope)).toMatch(/^no signature/);
});

it('signs requests without a body, with one, with queries and with escaped paths', async () => {
  const name = "a b+c*(d)'é&=/%";
  const encoded = 'a%20b%2Bc%2A%28d%29%27%C3%A9%26%3D%2F%25';
  await using api = await guarded({
    'GET /vms': { vms: [] },
    'POST /snapshots': aJobView(),
    [`GET /snapshots?limit=50&vm=${encoded}`]: { snapshots: [], next: null },
    'GET /snapshots/a%20b': aJobView(SUCCEEDED),
    [`DELETE /snapshots/${JOB_ID}`]: aJobView(),
  });
  for (const args of [
    ['vms'],
    ['snapshot', name, '--name', 'größe'],
    ['jobs', '--vm', name],
    ['job', 'a b'],
    ['cancel', JOB_ID],
  ]) {
    const { status, stderr } = await signed(api, args, ENV);
    expect([status, stderr], args.join(' ')).toEqual([0, '']);
  }
  const [, post] = api.received;
  const scope = { region: REGION, service: 'execute-api' };
  if (post === undefined) throw new Error('nothing was posted');
  expect(signatureFault({ ...post, body: post.body.replace('größe', 'other') }, KEY, scope)).toMatch(
    /^another signature/,
  );
  expect(signatureFault({ ...post, target: '/janitor' }, KEY, scope)).toMatch(/^another signature/);
});

it('signs with a session token, which goes along', async () => {
  const sessionToken = 'planted-session-token==';
  await using api = await guarded({ 'GET /vms': { vms: [] } }, { ...KEY, sessionToken });
  const { status, stderr } = await signed(api, ['vms'], { ...ENV, AWS_SESSION_TOKEN: sessionToken });
  expect([status, stderr]).toEqual([0, '']);
});

it("takes the credentials of the shared files' profile, and the region of a flag before that of the environment", async () => {
  const file = join(folder, 'credentials');
  await writeFile(
    file,
    `[ops]\naws_access_key_id = ${KEY.accessKeyId}\naws_secret_access_key = ${KEY.secretAccessKey}\n`,
  );
  await using api = await guarded({ 'GET /vms': { vms: [] } }, KEY, 'us-west-2');
  const { status, stderr } = await signed(api, ['vms', '--region', 'us-west-2'], {
    AWS_PROFILE: 'ops',
    AWS_SHARED_CREDENTIALS_FILE: file,
  });
  expect([status, stderr]).toEqual([0, '']);
});

it('says in one line what to set when there are no credentials, and asks nothing', async () => {
  await using api = await guarded({});
  const { status, stdout, stderr } = await signed(api, ['vms'], {});
  expect([status, stdout, api.received]).toEqual([1, '', []]);
  expect(stderr).toBe(
    'xensnap: there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (after "aws sso login", where it is of SSO)\n',
  );
});

it('says what to set when no region is known', async () => {
  await using api = await guarded({});
  const { status, stderr } = await signed(api, ['vms'], { ...ENV, AWS_REGION: '' });
  expect([status, stderr, api.received]).toEqual([
    1,
    "xensnap: the API's AWS region is not known: set --region or AWS_REGION\n",
    [],
  ]);
});

it('says what may be wrong when the signature is refused, without a secret that the answer quotes', async () => {
  const token = 'planted-session-token';
  const message = `The Canonical String should have been x-amz-security-token:${token} by ${KEY.secretAccessKey}`;
  await using api = await stubApi({ 'GET /vms': () => [403, { message }] });
  const { status, stderr } = await signed(api, ['vms'], { ...ENV, AWS_SESSION_TOKEN: token });
  expect(status).toBe(1);
  expect(stderr).toBe(
    `xensnap: ${api.url} refused, HTTP 403 to GET /vms (The Canonical String should have been x-amz-security-token:(hidden) by (hidden)) - ` +
      `the AWS credentials are over or may not execute-api:Invoke here, ${REGION} is not the API's region, or the clock is wrong; where the API wants a token, set --auth token or bearer\n`,
  );
});

it('does not follow an answer that sends it elsewhere', async () => {
  await using elsewhere = await stubApi({ 'GET /vms': () => [200, { vms: [] }] });
  await using api = await stubApi({ 'GET /vms': () => [302, {}, { location: `${elsewhere.url}/vms` }] });
  const { status, stderr } = await signed(api, ['vms'], ENV);
  expect([status, stderr]).toEqual([
    1,
    `xensnap: ${api.url} does not answer as xensnap does (HTTP 302 to GET /vms)\n`,
  ]);
  expect(elsewhere.received).toEqual([]);
});
