import { expect, it } from 'vitest';
import { CREDENTIAL, stubKeystone } from '../glance-client/stub-keystone.ts';
import { serveApi } from './api/served-api.ts';

const TOKEN = 'planted-keystone-token';

/** The API on a Glance that takes one token, which the Keystone is to give. */
async function behindKeystone(credential: object = CREDENTIAL) {
  const keystone = await stubKeystone();
  const api = await serveApi({
    pool: { vms: 1 },
    glance: { token: TOKEN },
    config: { glance: { keystone: { url: keystone.url }, secretId: 'glance' } },
    secrets: { glance: JSON.stringify(credential) },
  });
  return { keystone, api };
}

it('asks Glance with a token of Keystone, and keeps it', async () => {
  const { keystone, api } = await behindKeystone();
  await using _ = api;
  keystone.next.push(TOKEN);
  expect((await api.ask('POST', '/snapshots', { vm: 'web-1' })).status).toBe(202);
  await api.runtime.glance.check();
  expect(keystone.requests).toEqual(['POST']);
});

it('gets a new token when Glance refuses the present one, once', async () => {
  const { keystone, api } = await behindKeystone();
  await using _ = api;
  keystone.next.push('revoked', TOKEN);
  expect((await api.ask('POST', '/snapshots', { vm: 'web-1' })).status).toBe(202);
  keystone.next.push('revoked', 'revoked as well', TOKEN);
  await api.runtime.glanceToken();
  await expect(api.runtime.glance.check()).rejects.toMatchObject({ name: 'GlanceUnauthorized' });
});

it('hands each upload a token of its own', async () => {
  const { keystone, api } = await behindKeystone();
  await using _ = api;
  expect(await api.runtime.glanceToken()).not.toBe(await api.runtime.glanceToken());
  expect(keystone.requests).toEqual(['POST', 'POST']);
});

it('goes on with the token that it has while Keystone gives none for an upload', async () => {
  const { keystone, api } = await behindKeystone();
  await using _ = api;
  keystone.next.push(TOKEN);
  await api.runtime.glance.check();
  keystone.answer = (_req, res) => res.writeHead(503).end();
  await expect(api.runtime.glanceToken()).rejects.toMatchObject({ name: 'KeystoneUnavailable' });
  await api.runtime.glance.check();
});

it('answers 502 with the name of what Keystone said, frees the VM, and shows no secret', async () => {
  const { keystone, api } = await behindKeystone({ id: CREDENTIAL.id, secret: 'planted-wrong-secret' });
  await using _ = api;
  const refused = await api.ask('POST', '/snapshots', { vm: 'web-1' });
  expect([refused.status, refused.body.error.name]).toEqual([502, 'KeystoneUnauthorized']);
  keystone.answer = (_req, res) => res.writeHead(503).end();
  const away = await api.ask('POST', '/snapshots', { vm: 'web-1' });
  expect([away.status, away.body.error.name]).toEqual([502, 'KeystoneUnavailable']);
  const { uuid } = api.pool.vm('web-1');
  expect(await api.runtime.store.leases.holderOfVm('demo', uuid)).toBeUndefined();
  expect(await Array.fromAsync(api.runtime.store.jobs.open())).toEqual([]);
  expect(JSON.stringify([refused.body, away.body, api.log])).not.toContain('planted');
});
