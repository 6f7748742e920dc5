import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { translate } from '../../functions/translate.ts';
import { wasNeverSent } from '../../glance/never-sent.ts';
import type { TrustOptions } from '../../http/trust.ts';
import { parseAuthority, parseFingerprint } from '../../http/trust.ts';
import { RETRYABLE_ERRORS } from '../../statemachine/retries.ts';
import { expired, type RawServer, selfSigned, startRawServer } from '../xapi/raw-server.ts';
import { answerToAny, askOnce, CLIENTS } from './asking.ts';

const CLIENT_NAMES = ['Pool', 'Glance', 'Keystone'] as const;

let own: ReturnType<typeof selfSigned>;
let other: ReturnType<typeof selfSigned>;
let past: ReturnType<typeof selfSigned>;
beforeAll(() => {
  own = selfSigned('host-1');
  other = selfSigned('host-2');
  past = expired('host-3');
});

async function aServer(certificate = own): Promise<RawServer> {
  const server = await startRawServer(answerToAny, certificate);
  onTestFinished(() => server.close());
  return server;
}

interface Row {
  readonly what: string;
  readonly server?: () => typeof own;
  readonly host?: string;
  readonly trust: () => TrustOptions;
}

const plainHex = (fingerprint: string) => fingerprint.replaceAll(':', '').toLowerCase();

/** What all three take. */
const accepted: readonly Row[] = [
  { what: 'pinned, with colons', trust: () => ({ fingerprint: own.fingerprint }) },
  { what: 'pinned, in lower case', trust: () => ({ fingerprint: own.fingerprint.toLowerCase() }) },
  { what: 'pinned, as plain hex', trust: () => ({ fingerprint: plainHex(own.fingerprint) }) },
  { what: 'one of several pinned', trust: () => ({ fingerprint: [other.fingerprint, own.fingerprint] }) },
  {
    what: 'pinned and for another name',
    host: 'localhost',
    trust: () => ({ fingerprint: own.fingerprint }),
  },
  {
    what: 'pinned and expired',
    server: () => past,
    trust: () => ({ fingerprint: past.fingerprint }),
  },
  { what: 'vouched for by the CA', trust: () => ({ ca: own.cert }) },
  { what: 'vouched for by one of several CAs', trust: () => ({ ca: `${other.cert}\n${own.cert}` }) },
];

/** What all three refuse, and say in the same words. */
const refused: readonly (Row & { readonly says: () => string })[] = [
  {
    what: 'not trusted by anybody',
    trust: () => ({}),
    says: () => unpinned('no trusted CA vouches for its certificate (DEPTH_ZERO_SELF_SIGNED_CERT)'),
  },
  {
    what: 'of another CA',
    trust: () => ({ ca: other.cert }),
    says: () => unpinned('no trusted CA vouches for its certificate (DEPTH_ZERO_SELF_SIGNED_CERT)'),
  },
  {
    what: 'not the pinned one',
    trust: () => ({ fingerprint: other.fingerprint }),
    says: () => notPinned(other.fingerprint),
  },
  {
    what: 'not the pinned one, though the CA vouches for it',
    trust: () => ({ fingerprint: [other.fingerprint, past.fingerprint], ca: own.cert }),
    says: () => notPinned(`${other.fingerprint} or ${past.fingerprint}`),
  },
  {
    what: 'for another name',
    host: 'localhost',
    trust: () => ({ ca: own.cert }),
    says: () => unpinned('its certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID)'),
  },
  {
    what: 'expired',
    server: () => past,
    trust: () => ({ ca: past.cert }),
    says: () => unpinned('its certificate has expired (CERT_HAS_EXPIRED)', past.fingerprint),
  },
];

const unpinned = (problem: string, shown = own.fingerprint) =>
  `${problem}; SHA-256 ${shown} was shown. ` +
  'Pin that fingerprint once you know that it is the right server, or name the CA that vouches for it';
const notPinned = (pinned: string) =>
  `its certificate is not the pinned one: SHA-256 ${pinned} is pinned, ${own.fingerprint} was shown. ` +
  'Find out why it changed before you pin the new one';

const each = <T>(rows: readonly T[]) =>
  rows.flatMap((row) => CLIENT_NAMES.map((client) => ({ client, ...row })));

describe('a certificate', () => {
  it.each(each(accepted))('that is $what is taken by the client of $client', async (row) => {
    const { url } = await aServer(row.server?.());
    const named = url.replace('127.0.0.1', row.host ?? '127.0.0.1');
    expect(await askOnce(row.client, named, row.trust())).toBe('accepted');
  });

  it.each(each(refused))(
    'that is $what ends what the client of $client asks, for good and before a byte of it is sent',
    async (row) => {
      const server = await aServer(row.server?.());
      const url = server.url.replace('127.0.0.1', row.host ?? '127.0.0.1');
      const thrown = await askOnce(row.client, url, row.trust());
      const error = translate(thrown);
      expect(error.name).toBe(`${row.client}CertificateMismatch`);
      expect(RETRYABLE_ERRORS).not.toContain(error.name);
      expect(error.message).toMatch(/^((Glance|Keystone) at )?https:/);
      expect(error.message.slice(error.message.indexOf(url))).toBe(`${url}: ${row.says()}`);
      expect(wasNeverSent(thrown)).toBe(true);
      expect(server.bytesReceived).toBe(0);
    },
  );
});

it.each(CLIENT_NAMES)('asks anew at each connection which CA counts for %s', async (name) => {
  const server = await aServer();
  let ca: string | undefined = other.cert;
  const client = CLIENTS[name](server.url, { ca: () => ca });
  onTestFinished(() => client.close());
  await expect(client.ask()).rejects.toMatchObject({ cause: { expected: [], actual: own.fingerprint } });
  // One that is none for the moment is no reason to give up.
  ca = 'half a file';
  const error = translate(await client.ask().catch((thrown: unknown) => thrown));
  expect(error.message).toContain('the CA holds no certificate in PEM');
  expect(RETRYABLE_ERRORS).toContain(error.name);
  ca = own.cert;
  await client.ask();
});

const cutOff = () => `${own.cert}${other.cert.slice(0, 200)}`;

describe.each<[string, string, () => TrustOptions, string]>([
  ['a CA that is a path', 'https', () => ({ ca: '/etc/ca.pem' }), 'the CA holds no certificate in PEM'],
  ['an empty CA', 'https', () => ({ ca: '' }), 'the CA holds no certificate in PEM'],
  ['a CA that is told and none', 'https', () => ({ ca: () => 'x' }), 'the CA holds no certificate in PEM'],
  ['a CA that is cut off', 'https', () => ({ ca: cutOff() }), 'the CA holds a certificate that is cut off'],
  ['a fingerprint that is none', 'https', () => ({ fingerprint: 'AB:CD' }), 'not a SHA-256 certificate fin'],
  ['an empty fingerprint', 'https', () => ({ fingerprint: '' }), 'not a SHA-256 certificate fingerprint'],
  ['a fingerprint and no TLS', 'http', () => ({ fingerprint: own.fingerprint }), 'no certificate to compare'],
])('with %s', (_, scheme, trust, says) => {
  it.each(CLIENT_NAMES)('no client of %s is made', (client) => {
    let thrown: unknown;
    expect(() => {
      try {
        CLIENTS[client](`${scheme}://127.0.0.1:1`, trust());
      } catch (error) {
        thrown = error;
        throw error;
      }
    }).toThrow(TypeError);
    expect(String(thrown)).toContain(says);
  });
});

/** OpenSSL's name for the machine's own store, and Node's for what counts beside its own authorities. */
describe.each(['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'])('the authorities of %s', (variable) => {
  it('count for all three clients alike', async () => {
    const server = await aServer();
    const folder = await mkdtemp(join(tmpdir(), 'xensnap-ca-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const file = join(folder, 'ca.pem');
    await writeFile(file, own.cert);
    expect(await inProcess(server.url, { [variable]: file })).toEqual(
      CLIENT_NAMES.map((name) => `${name} accepted`),
    );
    await writeFile(file, other.cert);
    const said = await inProcess(server.url, { [variable]: file });
    for (const [at, line] of said.entries()) {
      expect(line).toMatch(/^\w+ (Xapi|Glance|Keystone)CertificateMismatch: /);
      expect(line).toContain(`${server.url}: ${refused[0]?.says()}`);
      expect(line.startsWith(CLIENT_NAMES[at] ?? '?')).toBe(true);
    }
    expect(said).toHaveLength(3);
  });
});

async function inProcess(url: string, env: Record<string, string>): Promise<string[]> {
  const script = fileURLToPath(new URL('ask-in-process.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, url], { env });
  return stdout.trim().split('\n');
}

it.each(['', 'AB:CD', `${'0'.repeat(63)}g`, '0'.repeat(65)])('takes %j for no fingerprint', (text) => {
  expect(() => parseFingerprint(text)).toThrow(TypeError);
});

it('takes PEM as it is, with what stands around its certificates', () => {
  const text = `Issuer: somebody\n${own.cert}\r\n# another\n${other.cert}`;
  expect(parseAuthority(text)).toBe(text);
});
