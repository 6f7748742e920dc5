import {
  DecryptionFailure,
  GetSecretValueCommand,
  InternalServiceError,
  InvalidRequestException,
  ResourceNotFoundException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { allCustomMatcher } from 'aws-sdk-client-mock-vitest';
import { beforeEach, expect, it } from 'vitest';
import { secretReader } from '../../../functions/runtime/secret-reader.ts';
import { mockedClass } from '../../support/mocked-aws.ts';
import 'aws-sdk-client-mock-vitest/extend';

expect.extend(allCustomMatcher);

const secrets = mockedClass(SecretsManagerClient);
const read = secretReader(new SecretsManagerClient({ region: 'us-east-1' }), (id) => `arn of ${id}`);
const ofSdk = { message: 'planted', $metadata: {} };

beforeEach(() => secrets.reset());

it('reads the fields of a secret under its ARN, anew each time', async () => {
  secrets
    .on(GetSecretValueCommand, { SecretId: 'arn of pool/main' })
    .resolvesOnce({ SecretString: '{"username":"root","password":"old"}' })
    .resolves({ SecretString: '{"username":"root","password":"new"}' });
  expect(await read('pool/main')).toEqual({ username: 'root', password: 'old' });
  expect(await read('pool/main')).toEqual({ username: 'root', password: 'new' });
  expect(secrets).toHaveReceivedCommandTimes(GetSecretValueCommand, 2);
});

it('takes one without text for empty', async () => {
  secrets.on(GetSecretValueCommand).resolves({ SecretBinary: new Uint8Array([1]) });
  expect(await read('glance')).toEqual({});
});

it('says of a secret that is not there, or was never filled, that it is to be written', async () => {
  secrets.on(GetSecretValueCommand).rejects(new ResourceNotFoundException(ofSdk));
  await expect(read('pool/main')).rejects.toMatchObject({
    name: 'SecretUnusable',
    message: expect.stringMatching(/^The secret "pool\/main" is not there, or nothing has been written/),
  });
});

it.each([
  ['SecretUnusable', new DecryptionFailure(ofSdk)],
  ['SecretUnusable', new InvalidRequestException(ofSdk)],
  ['SecretUnusable', Object.assign(new Error('planted'), { name: 'AccessDeniedException' })],
  ['ServiceUnavailable', new InternalServiceError(ofSdk)],
  ['ServiceUnavailable', Object.assign(new Error('planted'), { name: 'ThrottlingException' })],
  ['ServiceUnavailable', Object.assign(new Error('planted'), { code: 'ECONNRESET', $metadata: {} })],
] as const)(
  'is %s, names the secret and the error, and keeps what AWS said for the log: %s',
  async (name, error) => {
    secrets.on(GetSecretValueCommand).rejects(error);
    await expect(read('glance')).rejects.toMatchObject({
      name,
      message: `The secret "glance" could not be read: ${error.name}.`,
      cause: error,
    });
  },
);

it.each(['planted', '"planted"', '{"password":"planted"', '7', 'null'])(
  'quotes nothing of a secret that is no JSON object: %s',
  async (text) => {
    secrets.on(GetSecretValueCommand).resolves({ SecretString: text });
    const failed = read('glance');
    await expect(failed).rejects.toMatchObject({ name: 'SecretUnusable' });
    await expect(failed).rejects.not.toThrow(/planted/);
  },
);
