import { createServer } from 'node:http';
import { getActiveResourcesInfo } from 'node:process';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { expect, it, onTestFinished } from 'vitest';
import { LOCAL_AWS, serveInProcess } from '../../../local/aws/in-process.ts';
import { startSecrets } from '../../../local/aws/secrets.ts';

const read = new GetSecretValueCommand({ SecretId: 'pool' });

function clientOf(endpoint: string) {
  const client = new SecretsManagerClient({ ...LOCAL_AWS, endpoint, maxAttempts: 1 });
  onTestFinished(() => client.destroy());
  return client;
}

it('answers the clients of this process, opens no port for it, and is known to no resolver', async () => {
  const before = getActiveResourcesInfo().filter((name) => /Server/.test(name));
  const secrets = startSecrets({ pool: 'x'.repeat(60_000) });
  onTestFinished(secrets.close);
  expect((await clientOf(secrets.endpoint).send(read)).SecretString).toHaveLength(60_000);
  expect(getActiveResourcesInfo().filter((name) => /Server/.test(name))).toEqual(before);
  await expect(fetch(secrets.endpoint)).rejects.toMatchObject({
    cause: { code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/) },
  });
});

it('cuts the requests that wait when it is taken away, and refuses those that come later', async () => {
  const reached = Promise.withResolvers<void>();
  const hanging = serveInProcess(createServer(() => reached.resolve()));
  const waiting = clientOf(hanging.endpoint).send(read);
  await reached.promise;
  hanging.close();
  await expect(waiting).rejects.toThrow('socket hang up');
  await expect(clientOf(hanging.endpoint).send(read)).rejects.toThrow('nothing is served at');
});

it("leaves other clients' requests alone when one of the clients is done", async () => {
  const answer = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const slow = serveInProcess(
    createServer(async (_request, response) => {
      reached.resolve();
      await answer.promise;
      response.end('{"SecretString":"late"}');
    }),
  );
  onTestFinished(slow.close);
  const waiting = clientOf(slow.endpoint).send(read);
  await reached.promise;
  clientOf(slow.endpoint).destroy();
  answer.resolve();
  expect((await waiting).SecretString).toBe('late');
});
