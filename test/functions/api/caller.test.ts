import { describe, expect, it } from 'vitest';
import { callerOf } from '../../../functions/api/caller.ts';
import { parseConfig } from '../../../functions/config.ts';

const config = parseConfig(
  JSON.stringify({
    installation: 'test',
    pools: [{ name: 'demo', addresses: ['http://127.0.0.1:9'], secretId: 'pool' }],
    glance: { url: 'http://127.0.0.1:9' },
    projects: { a: { vmTags: ['team-a'] }, 'a:b': { vmTags: ['team-a'] } },
  }),
);

/** Who asks, by what API Gateway hands on. */
function caller(authorizer?: object) {
  const env = authorizer && { event: { requestContext: { authorizer } } };
  return callerOf({ env } as never, config);
}

const keystone = (projectId: string, userId: string, userName?: string) => ({
  lambda: { projectId, userId, userName, admin: false, role: 'member' },
});
const jwt = (claims: object) => ({ jwt: { claims } });

it.each([
  ['whoever reaches an API on this machine', undefined, 'local'],
  ['a user of Keystone by name', keystone('a', 'u1', 'alice'), 'keystone:alice@a'],
  ['a user of Keystone without a name by id', keystone('a', 'u1'), 'keystone:u1@a'],
  ['the subject of a JWT', jwt({ iss: 'i', sub: 's' }), 'jwt:s'],
  ['a client of a JWT that names no subject', jwt({ iss: 'i', client_id: 'c' }), 'jwt:c'],
  ['the ARN of IAM', { iam: { userArn: 'arn:aws:iam::1:user/ops' } }, 'iam:arn:aws:iam::1:user/ops'],
])('names %s', (_, authorizer, actor) => {
  expect(caller(authorizer).actor).toBe(actor);
});

it('cuts what it was told to be called, and shows nothing that a terminal or a log would obey', () => {
  const { actor } = caller(keystone('a', 'u1', `ev\u001b[31mil\n{"level":"INFO"}\u202e${'x'.repeat(5000)}`));
  expect(actor).toMatch(/^keystone:ev\ufffd\[31mil\ufffd\{"level":"INFO"\}\ufffdx+…$/);
  expect([...actor]).toHaveLength(256);
});

it('knows nobody whom the gateway has not named', () => {
  for (const nobody of [{}, jwt({ iss: 'i' }), { iam: {} }, { lambda: null }])
    expect(() => caller(nobody)).toThrow('does not know who asks');
});

describe('gives no two callers the same id:', () => {
  const assumed = (session: string) => ({ iam: { userArn: `arn:aws:sts::1:assumed-role/ops/${session}` } });
  const cognito = (identityId: string) => ({
    iam: {
      userArn: 'arn:aws:sts::1:assumed-role/app/CognitoIdentityCredentials',
      cognitoIdentity: { identityId },
    },
  });
  it.each([
    ['users with a separator in their ids', keystone('a', 'b:c'), keystone('a:b', 'c')],
    ['a client and another’s subject', jwt({ iss: 'i', sub: 'x' }), jwt({ iss: 'i', client_id: 'x' })],
    ['subjects with a separator', jwt({ iss: 'i:s', sub: 'x' }), jwt({ iss: 'i', sub: 's:x' })],
    ['two sessions of one role', assumed('anna'), assumed('bert')],
    ['two identities of one Cognito role', cognito('eu-1:anna'), cognito('eu-1:bert')],
  ])('%s', (_, one, other) => {
    expect(caller(one).id).not.toBe(caller(other).id);
    expect(caller(one).id).toBe(caller(one).id);
  });
});
