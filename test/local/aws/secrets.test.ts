import {
  CreateSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  ResourceExistsException,
  ResourceNotFoundException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { expect, it, onTestFinished } from 'vitest';
import { LOCAL_AWS } from '../../../local/aws/in-process.ts';
import { startSecrets } from '../../../local/aws/secrets.ts';

async function aSecretsManager(secrets: Record<string, string> = {}) {
  const service = startSecrets(secrets);
  const client = new SecretsManagerClient({ endpoint: service.endpoint, ...LOCAL_AWS });
  onTestFinished(() => {
    client.destroy();
    service.close();
  });
  return client;
}

it('gives a secret by its name or its ARN', async () => {
  const client = await aSecretsManager({ 'xensnap/pool': '{"user":"root"}' });
  const byName = await client.send(new GetSecretValueCommand({ SecretId: 'xensnap/pool' }));
  expect(byName).toMatchObject({ Name: 'xensnap/pool', SecretString: '{"user":"root"}' });
  const byArn = await client.send(new GetSecretValueCommand({ SecretId: byName.ARN }));
  expect(byArn.SecretString).toBe('{"user":"root"}');
});

it('gives the newest value', async () => {
  const client = await aSecretsManager();
  const created = await client.send(new CreateSecretCommand({ Name: 'glance', SecretString: 'old' }));
  const put = await client.send(new PutSecretValueCommand({ SecretId: 'glance', SecretString: 'new' }));
  expect(put.VersionId).not.toBe(created.VersionId);
  const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: 'glance' }));
  expect(SecretString).toBe('new');
  const described = await client.send(new DescribeSecretCommand({ SecretId: 'glance' }));
  expect(described).toMatchObject({ Name: 'glance', CreatedDate: expect.any(Date) });
  expect(JSON.stringify(described)).not.toContain('new');
});

it('refuses an unknown secret and a name that is taken', async () => {
  const client = await aSecretsManager({ taken: 'x' });
  const unknown = new GetSecretValueCommand({ SecretId: 'unknown' });
  await expect(client.send(unknown)).rejects.toBeInstanceOf(ResourceNotFoundException);
  const again = new CreateSecretCommand({ Name: 'taken', SecretString: 'y' });
  await expect(client.send(again)).rejects.toBeInstanceOf(ResourceExistsException);
});
