import { afterEach, expect, it, vi } from 'vitest';
import { executeApiRegion, isLocal } from '../../bin/address.ts';
import { chooseAuthentication } from '../../bin/auth/choose.ts';
import { keystoneLogin } from '../../bin/auth/keystone-login.ts';

afterEach(() => vi.unstubAllEnvs());

const AWS = 'https://a1b2c3.execute-api.eu-central-1.amazonaws.com';
const CREDENTIAL = {
  OS_AUTH_URL: 'https://keystone:5000',
  OS_APPLICATION_CREDENTIAL_ID: 'i',
  OS_APPLICATION_CREDENTIAL_SECRET: 's',
};

/** Header names that a request to `url` would get in an environment. */
async function proofAt(url: string, env: Record<string, string>) {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const { headers } = await chooseAuthentication(new URL(url), {}).prove({
    method: 'GET',
    url: new URL(url),
    headers: {},
  });
  return Object.keys(headers).sort();
}

const SIGNED = { AWS_ACCESS_KEY_ID: 'k', AWS_SECRET_ACCESS_KEY: 's' };

it.each([
  ['http://127.0.0.1:8700', { OS_TOKEN: 't', XENSNAP_TOKEN: 't' }, []],
  ['https://localhost', { OS_TOKEN: 't' }, []],
  ['http://xensnap.example.com', { OS_TOKEN: 't', XENSNAP_TOKEN: 't' }, []],
  ['https://xensnap.example.com', {}, []],
  ['https://xensnap.example.com', { OS_TOKEN: 't' }, ['x-auth-token']],
  ['https://xensnap.example.com', { OS_TOKEN: 't', XENSNAP_TOKEN: 't' }, ['authorization']],
  [AWS, { ...SIGNED, OS_TOKEN: 't' }, ['authorization', 'x-amz-content-sha256', 'x-amz-date']],
])('chooses by the address and the tokens at hand: %s %j', async (url, env, headers) => {
  expect(await proofAt(url, env)).toEqual(headers);
});

it('signs for the region in the host name, whatever the environment says', async () => {
  vi.stubEnv('AWS_REGION', 'us-east-1');
  for (const [name, value] of Object.entries(SIGNED)) vi.stubEnv(name, value);
  const url = new URL(`${AWS}/vms`);
  const { headers, secrets } = await chooseAuthentication(url, {}).prove({ method: 'GET', url, headers: {} });
  expect(headers.authorization).toContain('/eu-central-1/execute-api/aws4_request');
  expect(secrets).toContain('s');
});

it.each([
  [AWS, 'eu-central-1'],
  ['https://a1.execute-api.cn-north-1.amazonaws.com.cn/x', 'cn-north-1'],
  ['https://execute-api.example.com', undefined],
  ['https://a1.execute-api.eu-central-1.amazonaws.com.example.com', undefined],
])('finds the region of %s: %s', (url, region) => {
  expect(executeApiRegion(new URL(url))).toBe(region);
});

it('knows what runs on this machine', () => {
  const local = ['http://127.0.0.1:1', 'http://127.9.9.9', 'http://localhost', 'http://[::1]:8700'];
  expect(local.filter((url) => !isLocal(new URL(url)))).toEqual([]);
  expect(isLocal(new URL('http://127.example.com'))).toBe(false);
  expect(isLocal(new URL('http://localhost.example.com'))).toBe(false);
});

it("reads OpenStack's variables: ids before names, the domain `default` unless another is named", () => {
  expect(keystoneLogin({ ...CREDENTIAL, OS_CACERT: '/ca.pem', OS_PASSWORD: 'p' })).toEqual({
    url: 'https://keystone:5000',
    caFile: '/ca.pem',
    credential: { id: 'i', secret: 's' },
  });
  const url = { OS_AUTH_URL: 'https://k' };
  const named = { ...url, OS_USERNAME: 'u', OS_PASSWORD: 'p', OS_PROJECT_NAME: 'pr' };
  expect(keystoneLogin({ ...named, OS_USER_DOMAIN_NAME: 'Ops' })?.credential).toEqual({
    user: { name: 'u', domain: { name: 'Ops' } },
    password: 'p',
    project: { name: 'pr', domain: { id: 'default' } },
  });
  expect(keystoneLogin({ ...named, OS_USER_ID: 'ui', OS_PROJECT_ID: 'pi' })?.credential).toEqual({
    user: { id: 'ui' },
    password: 'p',
    project: { id: 'pi' },
  });
  expect(keystoneLogin({ ...url, OS_USERNAME: 'u', OS_PASSWORD: 'p' })).toBeUndefined();
});
