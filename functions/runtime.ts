import { setTimeout as delay } from 'node:timers/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SFNClient } from '@aws-sdk/client-sfn';
import { SQSClient } from '@aws-sdk/client-sqs';
import { createGlance, type Glance } from '../glance/client.ts';
import { createPoolClient, type PoolClient } from '../xapi/client.ts';
import type { Session } from '../xapi/session.ts';
import { type Clock, systemClock } from './clock.ts';
import { type Config, parseConfig, poolConfig } from './config.ts';
import { XensnapError } from './errors.ts';
import { createExecutions, type Executions } from './executions.ts';
import { jsonLog, type Log } from './log.ts';
import { createStore, type Store } from './store.ts';

/** What every entry point works with; made once for a process. */
export interface Runtime {
  readonly config: Config;
  readonly store: Store;
  readonly glance: Glance;
  readonly executions: Executions;
  readonly sfn: SFNClient;
  readonly sqs: SQSClient;
  readonly queueUrl: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Waits so many of the clock's seconds. */
  wait(seconds: number): Promise<void>;
  /** Runs `use` with a session of the pool, which logs in at its first call and is always logged out. */
  withSession<T>(pool: string, use: (session: Session) => Promise<T>): Promise<T>;
  /** The token for Glance, fresh; undefined where Glance needs none. */
  glanceToken(): Promise<string | undefined>;
  close(): Promise<void>;
}

/** The environment that the functions read, in Lambda and here. The SDK reads the AWS_* ones itself. */
export interface Environment {
  readonly XENSNAP_CONFIG?: string;
  readonly XENSNAP_TABLE?: string;
  readonly XENSNAP_STATE_MACHINE_ARN?: string;
  readonly XENSNAP_QUEUE_URL?: string;
  readonly [name: string]: string | undefined;
}

/** Overrides for tests and the local service: time, logs, and where AWS is. */
export interface RuntimeOptions {
  readonly clock?: Clock;
  readonly log?: Log;
  readonly wait?: (seconds: number) => Promise<void>;
  /** Region and static credentials where there is no Lambda environment to find them in. */
  readonly aws?: { region: string; credentials: { accessKeyId: string; secretAccessKey: string } };
}

/** Builds the runtime out of the environment. Throws an error that names the variable or field at fault. */
export function createRuntime(env: Environment, options: RuntimeOptions = {}): Runtime {
  const required = (name: string): string => {
    const value = env[name];
    if (value) return value;
    throw new XensnapError('ServiceUnavailable', `The environment variable ${name} is not set.`);
  };
  const aws = (service: string) => {
    const endpoint = env[`AWS_ENDPOINT_URL_${service}`];
    return { ...options.aws, ...(endpoint && { endpoint }) };
  };
  const config = parseConfig(required('XENSNAP_CONFIG'));
  const secrets = new SecretsManagerClient(aws('SECRETS_MANAGER'));
  const readSecret = async (secretId: string): Promise<Record<string, string>> => {
    const { SecretString } = await secrets.send(new GetSecretValueCommand({ SecretId: secretId }));
    return JSON.parse(SecretString ?? '{}');
  };
  const { url, ca, fingerprint, secretId } = config.glance;
  const glanceToken = async () => (secretId === undefined ? undefined : (await readSecret(secretId)).token);
  const dynamo = new DynamoDBClient(aws('DYNAMODB'));
  const sfn = new SFNClient(aws('SFN'));
  // A queue's own URL names a host that only AWS resolves; the configured endpoint counts where there is one.
  const sqs = new SQSClient({ ...aws('SQS'), useQueueUrlAsEndpoint: !env.AWS_ENDPOINT_URL_SQS });
  const glance = createGlance({
    url,
    token: glanceToken,
    ...(ca !== undefined && { ca }),
    ...(fingerprint !== undefined && { fingerprint }),
  });
  const pools = new Map<string, PoolClient>();
  const clientOf = (name: string): PoolClient => {
    const known = pools.get(name);
    if (known) return known;
    const pool = poolConfig(config, name);
    const made = createPoolClient({
      addresses: pool.addresses,
      ...(pool.fingerprints.length > 0 && { fingerprint: pool.fingerprints }),
      ...(pool.ca !== undefined && { ca: pool.ca }),
    });
    pools.set(name, made);
    return made;
  };
  return {
    config,
    store: createStore(dynamo, required('XENSNAP_TABLE')),
    glance,
    executions: createExecutions(sfn, required('XENSNAP_STATE_MACHINE_ARN')),
    sfn,
    sqs,
    queueUrl: required('XENSNAP_QUEUE_URL'),
    clock: options.clock ?? systemClock,
    log: options.log ?? jsonLog(),
    wait: options.wait ?? ((seconds) => delay(seconds * 1000)),
    glanceToken,
    withSession(name, use) {
      const credentials = async () => {
        const { username = '', password = '' } = await readSecret(poolConfig(config, name).secretId);
        return { username, password };
      };
      return clientOf(name).withSession(credentials, use);
    },
    async close() {
      await Promise.all([...pools.values()].map((client) => client.close()));
      await glance.close();
      for (const client of [secrets, dynamo, sfn, sqs]) client.destroy();
    },
  };
}

let ofThisProcess: Runtime | undefined;

/** The runtime of a Lambda: made at the first invocation, kept for the next. */
export function lambdaRuntime(): Runtime {
  ofThisProcess ??= createRuntime(process.env);
  return ofThisProcess;
}
