import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../functions/config.ts';
import type { Metrics } from '../functions/metrics.ts';
import type { Authorities } from '../functions/runtime/environment.ts';
import type { Driver } from '../functions/words.ts';
import type { ApplicationCredential } from '../glance/keystone.ts';
import type { SecretValue } from './aws/secrets.ts';
import type { LocalClock } from './clock.ts';

/** A secret, or what tells it anew whenever it is needed. */
export type Secret<T> = T | (() => Promise<T>);

/** PEM of authorities, or what tells it for each connection. */
export type Certificates = string | (() => string);

/** A pool that the service works on, real or simulated. */
export interface ServicePool {
  readonly name: string;
  readonly driver?: Driver;
  readonly addresses: readonly string[];
  readonly fingerprints?: readonly string[];
  readonly ca?: Certificates;
  readonly username: string;
  readonly password: Secret<string>;
  readonly slotsPerHost?: number;
  readonly srSlots?: Readonly<Record<string, number>>;
}

export interface ServiceOptions {
  /** Holds the table and the installation's name; what a killed service left there is reconciled at the start. */
  readonly dataDir: string;
  /** Keeps the table in memory: nothing of it outlives the service, which costs less. For tests. */
  readonly memoryTable?: boolean;
  readonly pools: readonly ServicePool[];
  readonly glance: {
    readonly url: string;
    /** A token that does not change, or an application credential for which Keystone gives tokens. */
    readonly token?: Secret<string>;
    readonly keystone?: {
      readonly url: string;
      readonly ca?: Certificates;
      readonly fingerprint?: string;
      readonly credential: Secret<ApplicationCredential>;
    };
    readonly ca?: Certificates;
    readonly fingerprint?: string;
  };
  /** 0, the default, takes any free one. */
  readonly apiPort?: number;
  /** What callers of the API must send; a new random one by default, `none` to ask nobody for anything. */
  readonly token?: string | 'none';
  /** Further `Host`s under which the API is asked, as the header has them, beside the loopback names with its port. */
  readonly hosts?: readonly string[];
  readonly clock?: LocalClock;
  /** Takes the log's lines, JSON each; without it there is no log. */
  readonly logLine?: (line: string) => void;
  /** Told in a sentence what an operator should know at once, such as that the disk is full. */
  readonly tell?: (message: string) => void;
  /** Takes what AWS would show on a dashboard; by default nobody does. */
  readonly metrics?: Metrics;
  readonly relock?: Config['relock'];
  readonly timings?: Partial<Config['timings']>;
  /** Between two rounds of the janitor; 15 minutes by default, as in AWS. */
  readonly janitorSeconds?: number;
  /**
   * How much faster than real time the limits of Lambda, of calls to the pool and of tasks pass; 1, since handlers do not
   * get faster with the clock. For tests that look at a limit.
   */
  readonly limitSpeed?: number;
  /** Waits of the state machine, by state, that last so many seconds whatever the step says; for tests. */
  readonly waitSeconds?: Record<string, number>;
  /** Runs a step's handler, or fails in its place: where tests break things. */
  readonly aroundStep?: (step: string, jobId: string, run: () => Promise<unknown>) => Promise<unknown>;
  /** Told of each state that a job enters. */
  readonly onState?: (jobId: string, state: string) => void;
}

/** Seconds that are too long to wait for on one machine, where nobody pays for a look. */
const TIMINGS = {
  snapshotPollSeconds: 1,
  // More than the snapshot call itself may take.
  snapshotLostSeconds: 30,
  coalescePollSeconds: 2,
  uploadPollMinSeconds: 1,
  uploadPollMaxSeconds: 10,
  uploadRetrySeconds: 10,
  testPollSeconds: 2,
  vmPollSeconds: 5,
};

/** The configuration, as the functions read it from their environment. */
export async function configOf(options: ServiceOptions) {
  const { token, keystone, ca, ...glance } = options.glance;
  return {
    installation: await installationOf(options.dataDir),
    relock: options.relock ?? 'lock',
    pools: options.pools.map(({ username, password, ca, ...pool }) => ({
      ...pool,
      ...fixed(ca),
      secretId: `pool/${pool.name}`,
    })),
    glance: {
      ...glance,
      ...fixed(ca),
      ...(keystone && { keystone: withoutCredential(keystone) }),
      ...((keystone ?? token) !== undefined && { secretId: 'glance' }),
    },
    timings: { ...TIMINGS, ...options.timings },
  };
}

/** What Secrets Manager holds, by name. */
export function secretsOf({ pools, glance }: ServiceOptions): Record<string, SecretValue> {
  const ofPools = pools.map(({ name, username, password }) => [
    `pool/${name}`,
    asJson(password, (password) => ({ username, password })),
  ]);
  const { token, keystone } = glance;
  const held = keystone
    ? asJson(keystone.credential, (credential) => credential)
    : token !== undefined && asJson(token, (token) => ({ token }));
  return Object.fromEntries([...ofPools, ...(held ? [['glance', held]] : [])]);
}

function asJson<T>(secret: Secret<T>, fields: (value: T) => object): SecretValue {
  const tell = secret instanceof Function ? secret : async () => secret;
  return async () => JSON.stringify(fields(await tell()));
}

function withoutCredential({
  credential: _,
  ca,
  ...keystone
}: NonNullable<ServiceOptions['glance']['keystone']>) {
  return { ...keystone, ...fixed(ca) };
}

/** What stands in the configuration; {@link authoritiesOf} are the others. */
function fixed(ca: Certificates | undefined): { ca?: string } {
  return typeof ca === 'string' ? { ca } : {};
}

/** The authorities whose certificates are told anew. */
export function authoritiesOf({ pools, glance: { ca, keystone } }: ServiceOptions): Authorities {
  const ofPools = pools.flatMap((pool): [string, () => string][] =>
    pool.ca instanceof Function ? [[pool.name, pool.ca]] : [],
  );
  return {
    pools: Object.fromEntries(ofPools),
    ...(ca instanceof Function && { glance: ca }),
    ...(keystone?.ca instanceof Function && { keystone: keystone.ca }),
  };
}

/** The name under which this folder's service marks what it makes; random, so that two services tell theirs apart. */
async function installationOf(dataDir: string): Promise<string> {
  const file = join(dataDir, 'installation');
  const name = `local-${randomUUID().slice(0, 8)}`;
  try {
    await writeFile(file, `${name}\n`, { flag: 'wx', mode: 0o600 });
    return name;
  } catch {
    return (await readFile(file, 'utf8')).trim();
  }
}
