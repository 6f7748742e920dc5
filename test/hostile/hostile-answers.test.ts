import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { createGlance } from '../../glance/client.ts';
import { createKeystone } from '../../glance/keystone.ts';
import { createPoolClient } from '../../xapi/client.ts';
import { anImage } from '../glance-client/fake.ts';
import { CREDENTIAL } from '../glance-client/stub-keystone.ts';
import { failure, http, selfSigned, success } from '../xapi/raw-server.ts';
import { hostileAnswers } from './answers.ts';
import { type HostileServer, hostileServer } from './server.ts';

/** How many answers of each peer are tried; XENSNAP_HOSTILE_RUNS sets another number. */
const RUNS = Number(process.env.XENSNAP_HOSTILE_RUNS ?? 150);
/** What the clients are given for one request here; in use it is 24, 30 and 15 s. */
const CALL_SECONDS = 0.3;
/** One call may be several requests: a login, a call, and either once more; a machine may be busy. */
const MOST_CALL_SECONDS = 8;
/** What the process may have more after all of it than after the first answers, once the garbage is gone. */
const MOST_GROWTH_BYTES = 64 * 2 ** 20;
/** What it may have more after any one of them. */
const MOST_HELD_BYTES = 128 * 2 ** 20;

let certificate: ReturnType<typeof selfSigned>;
beforeAll(() => {
  certificate = selfSigned('hostile');
});

interface Peer {
  /** What a good answer may be, with its status and headers: the random ones are made of these. */
  readonly good: readonly string[];
  readonly status: number;
  readonly headers: string;
  /** The errors that the client documents. */
  readonly errors: readonly string[];
  /** What it should answer; see `hostileServer`. */
  proper(request: string): string;
  /** How many requests that makes. */
  readonly requests: number;
  /** Makes a client and asks; returns what was understood. */
  ask(url: string, fingerprint: string | undefined): Promise<unknown>;
}

const member = (name: string, value: string) =>
  `<member><name>${name}</name><value>${value}</value></member>`;
const record = `<struct>${member('uuid', 'u')}${member('name_label', 'a &amp; b')}${member('tags', '<array><data/></array>')}</struct>`;
const records = `<struct>${member('OpaqueRef:1', record)}</struct>`;
const image = {
  ...anImage('a'),
  images: [anImage('a'), anImage('b')],
  versions: [{ id: 'v2.9', status: 'CURRENT' }],
};

const token = {
  token: {
    expires_at: '2099-01-01T00:00:00.000000Z',
    user: { id: 'u', name: 'u' },
    roles: [{ name: 'reader' }],
    project: { id: 'p', name: 'p' },
  },
};

const peers: Record<string, Peer> = {
  pool: {
    good: [
      success('OpaqueRef:session'),
      success(records),
      failure('SESSION_INVALID', 'OpaqueRef:session'),
      failure('HOST_IS_SLAVE', '127.0.0.1'),
      failure('HANDLE_INVALID', 'VM', 'x'),
    ],
    status: 200,
    headers: '',
    errors: ['XapiError', 'XapiUnreachable', 'XapiReplyLost', 'XapiProtocolError', 'XapiTimeUp'],
    requests: 4,
    proper(request) {
      const [, method = ''] = /<methodName>([^<]+)/.exec(request) ?? [];
      return http(success(method === 'VM.get_all_records' ? records : 'OpaqueRef:1'));
    },
    async ask(url, fingerprint) {
      const pool = createPoolClient({
        addresses: [url],
        ...(fingerprint && { fingerprint }),
        callSeconds: CALL_SECONDS,
      });
      try {
        return await pool.withSession({ username: 'u', password: 'p' }, (xapi) =>
          Promise.all([xapi.call('VM.get_all_records'), xapi.call('VM.get_by_uuid', 'u')]),
        );
      } finally {
        await pool.close();
      }
    },
  },
  Glance: {
    good: [
      JSON.stringify(image),
      JSON.stringify({ ...image, next: '/v2/images?marker=b' }),
      '{"images":[],"next":"?x"}',
    ],
    status: 200,
    headers: '',
    errors: [
      ...['GlanceUnauthorized', 'GlanceForbidden', 'GlanceNotFound', 'GlanceConflict', 'GlanceTooLarge'],
      ...['GlanceBadRequest', 'GlanceUnavailable'],
    ],
    requests: 4,
    proper: () => http(JSON.stringify(image)),
    async ask(url, fingerprint) {
      const glance = createGlance({
        url,
        fingerprint,
        token: async () => 'token',
        timeoutSeconds: CALL_SECONDS,
      });
      try {
        const images = [];
        for await (const { id } of glance.listImages()) images.push(id);
        return [images, await glance.getImage('a'), await glance.check()];
      } finally {
        await glance.close();
      }
    },
  },
  Keystone: {
    good: [
      JSON.stringify(token),
      JSON.stringify({ error: { code: 401, message: 'The request you have made requires authentication.' } }),
    ],
    status: 201,
    headers: 'x-subject-token: token\r\n',
    errors: ['KeystoneUnauthorized', 'KeystoneUnavailable'],
    requests: 2,
    proper: (request) =>
      request.startsWith('POST')
        ? http(JSON.stringify(token), 'HTTP/1.1 201 Created\r\nx-subject-token: token')
        : http(JSON.stringify(token)),
    async ask(url, fingerprint) {
      const keystone = createKeystone({
        ...{ url, fingerprint, credential: async () => CREDENTIAL, timeoutSeconds: CALL_SECONDS },
        clock: { now: () => new Date() },
      });
      try {
        return [await keystone.token(), await keystone.identify('callers-token')];
      } finally {
        await keystone.close();
      }
    },
  },
};

it.each(Object.entries(peers))(
  `ends every one of ${RUNS} hostile answers of a %s in time, in a bounded space, and by a name of its own`,
  async (_, peer) => {
    const scripts = hostileAnswers(peer.good, peer.status, peer.headers);
    await using clear = await hostileServer(peer.proper);
    await using secure = await hostileServer(peer.proper, certificate);
    const outcomes = new Map<string, number>();
    let longest = 0;
    let most = 0;
    let base = 0;
    let runs = 0;
    const started = performance.now();
    await fc.assert(
      fc.asyncProperty(
        scripts,
        fc.nat({ max: peer.requests - 1 }),
        fc.nat({ max: 31 }),
        async (script, at, kind) => {
          if (runs++ === Math.min(50, RUNS >> 1)) base = await held();
          const server = kind <= 1 ? secure : clear;
          server.attack(at, script);
          const before = performance.now();
          const outcome = await outcomeOf(peer, server, kind);
          longest = Math.max(longest, performance.now() - before);
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
          // What only waits for the collector does not count, and collecting each time would take long.
          if (base > 0 && inUse() - base > MOST_HELD_BYTES / 2) most = Math.max(most, (await held()) - base);
          expect([...peer.errors, 'understood']).toContain(outcome);
          expect(performance.now() - before).toBeLessThan(MOST_CALL_SECONDS * 1000);
          expect(most).toBeLessThan(MOST_HELD_BYTES);
        },
      ),
      { numRuns: RUNS, endOnFailure: true, seed: 10 },
    );
    const growth = (await held()) - base;
    if (process.env.XENSNAP_HOSTILE_RUNS)
      console.log({
        ...Object.fromEntries([...outcomes].sort()),
        seconds: Math.round((performance.now() - started) / 1000),
        longestSeconds: Number((longest / 1000).toFixed(2)),
        mostHeldMiB: Math.round(most / 2 ** 20),
        growthMiB: Math.round(growth / 2 ** 20),
      });
    expect(growth).toBeLessThan(MOST_GROWTH_BYTES);
    // Some of them are right, and understood; most are not.
    expect(outcomes.get('understood')).toBeGreaterThan(0);
    expect(outcomes.size).toBeGreaterThan(1);
  },
  4 * 3_600_000,
);

async function outcomeOf(peer: Peer, { port }: HostileServer, kind: number): Promise<string> {
  // Over TLS, and over TLS where there is none.
  const isTls = kind <= 2;
  const url = `${isTls ? 'https' : 'http'}://127.0.0.1:${port}`;
  try {
    await peer.ask(url, isTls ? certificate.fingerprint : undefined);
    return 'understood';
  } catch (error) {
    const { name, message } = error as Error;
    // It is for an operator to read, so it must not be too long.
    expect(message.length).toBeLessThan(2000);
    return name;
  }
}

const inUse = () => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

/** What is in use once nothing is left to be collected. */
async function held(): Promise<number> {
  for (let times = 0; times < 3; times++) {
    collect();
    await new Promise(setImmediate);
  }
  return inUse();
}
