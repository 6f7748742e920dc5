import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Deadline } from '../../http/deadline.ts';
import { createTransport } from '../../xapi/transport.ts';
import { parseFingerprint } from '../../xapi/trust.ts';
import { type RawServer, selfSigned, startRawServer, success } from './raw-server.ts';

let host: ReturnType<typeof selfSigned>;
let other: ReturnType<typeof selfSigned>;
beforeAll(() => {
  host = selfSigned('host-1');
  other = selfSigned('host-2');
});

const servers: RawServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function aHost(): Promise<RawServer> {
  const server = await startRawServer(() => success('x'), host);
  servers.push(server);
  return server;
}

async function postTo(url: string, trust: { fingerprints?: string[]; ca?: string }): Promise<Buffer> {
  const { ca } = trust;
  const fingerprints = (trust.fingerprints ?? []).map(parseFingerprint);
  const transport = createTransport({ fingerprints, ca: ca === undefined ? undefined : () => ca });
  try {
    const answer = transport.post(
      new URL(url),
      'session.login_with_password',
      '<password/>',
      new Deadline(30),
    );
    return Buffer.concat(await answer);
  } finally {
    await transport.close();
  }
}

describe('a host with a pinned certificate', () => {
  it.each<[string, () => string[]]>([
    ['with colons', () => [host.fingerprint]],
    ['in lower case', () => [host.fingerprint.toLowerCase()]],
    ['as plain hex', () => [host.fingerprint.replaceAll(':', '').toLowerCase()]],
    ['among several', () => [other.fingerprint, host.fingerprint]],
  ])('is trusted by its fingerprint %s, whoever signed it', async (_, fingerprints) => {
    const server = await aHost();
    expect((await postTo(server.url, { fingerprints: fingerprints() })).toString()).toContain('Success');
  });

  it('is refused with another certificate before a byte of the request is sent, and told by both fingerprints', async () => {
    const server = await aHost();
    const refusal = await postTo(server.url, { fingerprints: [other.fingerprint] }).catch(
      (error: unknown) => error,
    );
    expect(refusal).toMatchObject({
      name: 'XapiCertificateMismatch',
      expected: [other.fingerprint],
      actual: host.fingerprint,
    });
    expect(String(refusal)).toContain(host.fingerprint);
    expect(String(refusal)).toContain(other.fingerprint);
    expect(server.bytesReceived).toBe(0);
  });

  it('is not trusted by its CA when its fingerprint is another', async () => {
    const server = await aHost();
    await expect(
      postTo(server.url, { fingerprints: [other.fingerprint], ca: host.cert }),
    ).rejects.toMatchObject({ name: 'XapiCertificateMismatch' });
  });
});

describe('a host without a pinned certificate', () => {
  it('is trusted when the given CA vouches for it', async () => {
    const server = await aHost();
    expect((await postTo(server.url, { ca: host.cert })).toString()).toContain('Success');
  });

  it.each<[string, (url: string) => string, () => { ca?: string }, string]>([
    ['another CA is given', (url) => url, () => ({ ca: other.cert }), 'SIGNATURE|SELF_SIGNED|UNABLE_TO'],
    ['it signed for itself', (url) => url, () => ({}), 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    [
      'the name is not in the certificate',
      (url) => url.replace('127.0.0.1', 'localhost'),
      () => ({ ca: host.cert }),
      'ERR_TLS_CERT_ALTNAME_INVALID',
    ],
  ])('is refused before a byte of the request is sent when %s', async (_, url, trust, reason) => {
    const server = await aHost();
    const refusal = await postTo(url(server.url), trust()).catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      name: 'XapiCertificateMismatch',
      expected: [],
      actual: host.fingerprint,
    });
    expect(String(refusal)).toMatch(new RegExp(`no trusted CA vouches .*(${reason}).*${host.fingerprint}`));
    expect(server.bytesReceived).toBe(0);
  });
});

it.each(['', 'AB:CD', `${'0'.repeat(63)}g`, '0'.repeat(65)])('%j is no fingerprint', (text) => {
  expect(() => parseFingerprint(text)).toThrow(TypeError);
});

it('asks anew at each connection whose word for a host counts', async () => {
  const server = await aHost();
  let ca = other.cert;
  const transport = createTransport({ fingerprints: [], ca: () => ca });
  const post = () =>
    transport.post(new URL(server.url), 'session.login_with_password', '<p/>', new Deadline(30));
  await expect(post()).rejects.toMatchObject({ name: 'XapiCertificateMismatch' });
  ca = host.cert;
  await expect(post()).resolves.toBeDefined();
  await transport.close();
});
