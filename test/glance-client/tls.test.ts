import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createKeystone } from '../../glance/keystone.ts';
import { startGlance } from '../../local/glance/server.ts';
import { selfSigned } from '../xapi/raw-server.ts';
import { aClient, failure } from './fake.ts';

const certificate = selfSigned('glance');

async function aTlsGlance(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'xensnap-glance-'));
  const glance = await startGlance({ dataDir, tls: certificate });
  onTestFinished(async () => {
    await glance.close();
    await rm(dataDir, { recursive: true });
  });
  return glance.url;
}

it('trusts the authority that it was given, and no other', async () => {
  const url = await aTlsGlance();
  expect(await aClient({ url, ca: certificate.cert }).check()).toEqual({ version: 'v2.15' });
  expect(await failure(aClient({ url }).check())).toMatch(/^GlanceUnavailable: .*self-signed certificate/);
});

it('asks anew at each connection which authority counts', async () => {
  let ca = selfSigned('other').cert;
  const client = aClient({ url: await aTlsGlance(), ca: () => ca });
  expect(await failure(client.check())).toMatch(/^GlanceUnavailable: /);
  ca = certificate.cert;
  expect(await client.check()).toEqual({ version: 'v2.15' });
});

it('takes the pinned certificate, however its fingerprint is written', async () => {
  const url = await aTlsGlance();
  const { fingerprint } = certificate;
  for (const written of [fingerprint, fingerprint.replaceAll(':', '').toLowerCase()]) {
    expect(await aClient({ url, fingerprint: written }).check()).toEqual({ version: 'v2.15' });
  }
});

it('sends nothing to a server with another certificate', async () => {
  const url = await aTlsGlance();
  const pinned = 'ab'.repeat(32);
  const said = await failure(aClient({ url, fingerprint: pinned, token: async () => 'secret' }).check());
  expect(said).toContain(
    `GlanceCertificateMismatch: Glance at ${url} has the certificate ${certificate.fingerprint}`,
  );
  expect(() => aClient({ url, fingerprint: 'ab:cd' })).toThrow(/no SHA-256 fingerprint/);
});

it('does not send a token over plain HTTP when a certificate was pinned', async () => {
  const said = await failure(aClient({ url: 'http://127.0.0.1:1', fingerprint: 'ab'.repeat(32) }).check());
  expect(said).toMatch(/^Glance(Unavailable|CertificateMismatch): /);
});

it('says of Keystone, too, that it shows another certificate: no later try mends that', async () => {
  const keystone = createKeystone({
    url: await aTlsGlance(),
    fingerprint: 'ab'.repeat(32),
    credential: async () => ({ id: 'id', secret: 'secret' }),
    clock: { now: () => new Date() },
  });
  onTestFinished(() => keystone.close());
  expect(await failure(keystone.token())).toMatch(/^GlanceCertificateMismatch: Keystone at /);
});
