import { setTimeout as delay } from 'node:timers/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { createGlance, type Glance } from '../../glance/client.ts';
import type { Keystone } from '../../glance/keystone.ts';
import type { FactName } from '../../statemachine/contract.ts';
import { createPoolClient, type PoolClient } from '../../xapi/client.ts';
import type { Session } from '../../xapi/session.ts';
import { type Clock, systemClock } from '../clock.ts';
import { type Config, parseConfig, poolConfig } from '../config.ts';
import { type Log, lambdaLog } from '../log.ts';
import { lambdaMetrics, type Metrics } from '../metrics.ts';
import type { CounterKey, Waiting } from '../store/counters.ts';
import { createStore, type Store } from '../store.ts';
import { configText, secretNames } from './deployed.ts';
import {
  type Authorities,
  clientOptions,
  type Environment,
  type RuntimeOptions,
  required,
} from './environment.ts';
import { glanceTokens } from './glance-tokens.ts';
import { secretReader } from './secret-reader.ts';

/** What a step works with; made once for a process. Reaches the table, the secrets, the pools and Glance. */
export interface BaseRuntime {
  readonly config: Config;
  readonly store: Store<FactName>;
  readonly glance: Glance;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Waits so many of the clock's seconds. */
  wait(seconds: number): Promise<void>;
  /**
   * Runs `use` with a session of the pool, which logs in at its first call and is always logged out. Each call ends
   * within `timings.callSeconds`, or `longCallSeconds`: what was not answered by then is XapiReplyLost.
   * @param options.seconds for all calls together, in real time from now on: what is under way then is XapiReplyLost,
   *   what comes later is not sent (XapiBusy). The logout may take 5 s more. Without it there is no such limit
   */
  withSession<T>(
    pool: string,
    use: (session: Session) => Promise<T>,
    options?: { readonly seconds?: number },
  ): Promise<T>;
  /** The token for Glance, fresh; undefined where Glance needs none. */
  glanceToken(): Promise<string | undefined>;
  /**
   * Has one of the lines that wait for a slot look again at once. Nothing happens where the queue is not in reach: then
   * they go on waiting for the next slot that is given back, and look by themselves after `timings.admissionRetrySeconds`.
   */
  wake(counter: CounterKey, waiting: readonly Waiting[]): Promise<void>;
  /** Where the configuration names one. */
  readonly keystone?: Keystone;
  close(): Promise<void>;
}

/** {@link BaseRuntime.wake} where the queue is not in reach. */
export const nobodyWoken: BaseRuntime['wake'] = async () => {};

/** Builds the base out of the environment. Throws an error that names the variable or field at fault. */
export function createBase(env: Environment, options: RuntimeOptions = {}): BaseRuntime {
  const config = withAuthorities(parseConfig(configText(env)), options.authorities ?? {});
  const secrets = new SecretsManagerClient(clientOptions(env, options, 'SECRETS_MANAGER'));
  const readSecret = secretReader(secrets, secretNames(env));
  const clock = options.clock ?? systemClock;
  const { url, fingerprint } = config.glance;
  const tokens = glanceTokens(config, clock, readSecret);
  const dynamo = new DynamoDBClient(clientOptions(env, options, 'DYNAMODB'));
  const glance = createGlance({
    url,
    token: () => tokens.token(),
    forgetToken: tokens.forget,
    ca: () => config.glance.ca,
    ...(fingerprint !== undefined && { fingerprint }),
  });
  const store = createStore(dynamo, required(env, 'XENSNAP_TABLE'));
  const { limitSpeed = 1 } = options;
  const pools = new Map<string, PoolClient>();
  const clientOf = (name: string): PoolClient => {
    const known = pools.get(name);
    if (known) return known;
    const pool = poolConfig(config, name);
    const made = createPoolClient({
      addresses: pool.addresses,
      ...(pool.fingerprints.length > 0 && { fingerprint: pool.fingerprints }),
      ca: () => pool.ca,
      callSeconds: config.timings.callSeconds / limitSpeed,
      longCallSeconds: config.timings.longCallSeconds / limitSpeed,
      ...recordsIn(env),
      memory: {
        recall: () => store.pools.members(name),
        keep: (known) => store.pools.keepMembers(name, known),
      },
    });
    pools.set(name, made);
    return made;
  };
  return {
    config,
    store,
    glance,
    clock,
    log: options.log ?? lambdaLog(),
    metrics: options.metrics ?? lambdaMetrics(config.installation),
    wait: options.wait ?? ((seconds) => delay(seconds * 1000)),
    glanceToken: () => tokens.fresh(),
    wake: nobodyWoken,
    ...(tokens.keystone && { keystone: tokens.keystone }),
    withSession(name, use, { seconds } = {}) {
      const credentials = async () => {
        const { username = '', password = '' } = await readSecret(poolConfig(config, name).secretId);
        return { username, password };
      };
      return clientOf(name).withSession(
        credentials,
        use,
        seconds === undefined ? {} : { seconds: seconds / limitSpeed },
      );
    },
    async close() {
      await Promise.all([...pools.values()].map((client) => client.close()));
      await glance.close();
      await tokens.close();
      secrets.destroy();
      dynamo.destroy();
    },
  };
}

/** The configuration whose every `ca` is what it is now. */
function withAuthorities(config: Config, { glance, keystone, pools = {} }: Authorities): Config {
  if (keystone && config.glance.keystone) live(config.glance.keystone, keystone);
  if (glance) live(config.glance, glance);
  for (const pool of config.pools) {
    const ofPool = pools[pool.name];
    if (ofPool) live(pool, ofPool);
  }
  return config;
}

function live(holder: { ca?: string | undefined }, get: () => string): void {
  Object.defineProperty(holder, 'ca', { get, enumerable: true });
}

/**
 * How much of a pool's records a Lambda has memory for, and, since its share of a core goes by its memory, time. Of
 * 1,024 MiB, which those have that list all VMs, 64: some 5,800 VMs and snapshots of one pool. Read, four of them at once
 * are 400 MiB.
 */
function recordsIn({ AWS_LAMBDA_FUNCTION_MEMORY_SIZE: mib }: Environment): { maxRecordsBytes?: number } {
  return mib === undefined ? {} : { maxRecordsBytes: (Number(mib) / 16) * 2 ** 20 };
}

let ofThisProcess: BaseRuntime | undefined;

/** The base of a Lambda: made at the first invocation, kept for the next. */
export function lambdaBase(): BaseRuntime {
  ofThisProcess ??= createBase(process.env);
  return ofThisProcess;
}
