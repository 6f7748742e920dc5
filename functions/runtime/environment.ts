import type { Agent } from 'node:http';
import type { Clock } from '../clock.ts';
import { XensnapError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';

/** The environment that the functions read, in Lambda and here. The SDK reads the AWS_* ones itself. */
export interface Environment {
  readonly XENSNAP_CONFIG?: string;
  /** In place of the above: a file beside the function's code. */
  readonly XENSNAP_CONFIG_FILE?: string;
  /** What the names of the deployment's own secrets begin with. */
  readonly XENSNAP_SECRET_PREFIX?: string;
  readonly XENSNAP_TABLE?: string;
  readonly XENSNAP_STATE_MACHINE_ARN?: string;
  readonly XENSNAP_QUEUE_URL?: string;
  readonly [name: string]: string | undefined;
}

/** PEM of who vouches for certificates, of those that have it told. */
export interface Authorities {
  readonly glance?: () => string;
  readonly keystone?: () => string;
  /** Secrets by the pool's name. */
  readonly pools?: Readonly<Record<string, () => string>>;
}

/** Overrides for tests and the local service: time, logs, metrics, and where AWS is. */
export interface RuntimeOptions {
  readonly clock?: Clock;
  readonly log?: Log;
  readonly metrics?: Metrics;
  readonly wait?: (seconds: number) => Promise<void>;
  /** How much faster than real time the limits of calls and sessions pass; 1. They are not the clock's. */
  readonly limitSpeed?: number;
  /** Tell authorities' certificates anew, in place of the configuration's `ca`. */
  readonly authorities?: Authorities;
  /** Where there is no Lambda environment to find it in: region, static credentials, and another way than the network. */
  readonly aws?: {
    readonly region: string;
    readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
    readonly requestHandler?: { readonly httpAgent: Agent };
  };
}

/** A variable's value. Throws an error that names it when it is missing or empty. */
export function required(env: Environment, name: string): string {
  const value = env[name];
  if (value) return value;
  throw new XensnapError('Internal', `The environment variable ${name} is not set.`);
}

/** What a client of the SDK is made with; `service` as in `AWS_ENDPOINT_URL_<service>`. */
export function clientOptions(env: Environment, options: RuntimeOptions, service: string) {
  const endpoint = env[`AWS_ENDPOINT_URL_${service}`];
  return { ...options.aws, ...(endpoint && { endpoint }) };
}
