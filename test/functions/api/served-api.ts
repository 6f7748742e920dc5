import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { type ApiOptions, createApi } from '../../../functions/api/app.ts';
import type { Executions } from '../../../functions/executions.ts';
import { jsonLog } from '../../../functions/log.ts';
import { collectMetrics } from '../../../functions/metrics.ts';
import { createRuntime, type WholeRuntime } from '../../../functions/runtime.ts';
import { LOCAL_AWS } from '../../../local/aws/in-process.ts';
import { startSecrets } from '../../../local/aws/secrets.ts';
import { startTable } from '../../../local/aws/table.ts';
import { type GlanceServer, type GlanceServerOptions, startGlance } from '../../../local/glance/server.ts';
import { startPool } from '../../../local/pool/pool.ts';
import type { PoolOptions, SimulatedPool } from '../../../local/pool/simulated-pool.ts';
import { tableDefinition } from '../../../local/table-definition.ts';

/** The API over HTTP with a real table, simulated pools and an embedded Glance; executions are only noted. */
export interface ServedApi extends AsyncDisposable {
  readonly url: string;
  readonly runtime: WholeRuntime;
  readonly pool: SimulatedPool;
  readonly glance: GlanceServer;
  readonly started: string[];
  readonly stopped: string[];
  /** What was logged, as text. */
  readonly log: string[];
  /** Status, headers and JSON body of a request; `body` is sent as JSON. */
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests assert
  readonly body: any;
}

export async function serveApi(
  settings: {
    pool?: Partial<PoolOptions>;
    /** Fields of the configuration in place of the usual ones. */
    config?: { glance?: object; [field: string]: unknown };
    /** What the pool's secret holds; the right credentials if absent. */
    secret?: string;
    /** Further secrets, by name. */
    secrets?: Record<string, string>;
    glance?: Partial<GlanceServerOptions>;
    api?: ApiOptions;
  } = {},
): Promise<ServedApi> {
  const dataDir = await mkdtemp(join(tmpdir(), 'xensnap-api-'));
  const pool = await startPool({
    dataDir: join(dataDir, 'pool'),
    diskMib: 4,
    guestWrites: false,
    failedLoginSeconds: 0,
    ...settings.pool,
  });
  const glance = await startGlance({ dataDir: join(dataDir, 'glance'), ...settings.glance });
  const table = await startTable({ tableName: 'xensnap', definition: tableDefinition() });
  const { username, password } = pool;
  const secrets = startSecrets({
    pool: settings.secret ?? JSON.stringify({ username, password }),
    ...settings.secrets,
  });
  const started: string[] = [];
  const stopped: string[] = [];
  const log: string[] = [];
  const config = {
    installation: 'test',
    pools: [{ name: 'demo', addresses: [pool.url], secretId: 'pool' }],
    ...settings.config,
    glance: { url: glance.url, ...settings.config?.glance },
  };
  const real = createRuntime(
    {
      XENSNAP_CONFIG: JSON.stringify(config),
      XENSNAP_TABLE: 'xensnap',
      XENSNAP_STATE_MACHINE_ARN: 'arn:aws:states:us-east-1:000000000000:stateMachine:xensnap',
      XENSNAP_RESTORE_MACHINE_ARN: 'arn:aws:states:us-east-1:000000000000:stateMachine:xensnap-restore',
      XENSNAP_QUEUE_URL: 'http://127.0.0.1:9/xensnap.fifo',
      AWS_ENDPOINT_URL_DYNAMODB: table.endpoint,
      AWS_ENDPOINT_URL_SECRETS_MANAGER: secrets.endpoint,
    },
    {
      log: jsonLog((line) => log.push(line)),
      metrics: collectMetrics(),
      aws: LOCAL_AWS,
    },
  );
  const executions: Executions = {
    start: async ({ id }) => void started.push(id),
    stop: async ({ id }) => void stopped.push(id),
    describe: async () => undefined,
    history: async function* () {},
    running: async function* () {},
  };
  const runtime = { ...real, executions };
  const server = serve({ fetch: createApi(runtime, settings.api).fetch, hostname: '127.0.0.1', port: 0 });
  await new Promise((resolve) => server.once('listening', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    runtime,
    pool,
    glance,
    started,
    stopped,
    log,
    ask: async (method, path, body, headers = {}) => {
      const json = body !== undefined && { 'content-type': 'application/json' };
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const response = await fetch(`${url}${path}`, {
        method,
        headers: { ...json, ...headers },
        ...(body !== undefined && { body: text }),
      });
      const answer = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body: answer === '' ? undefined : JSON.parse(answer),
      };
    },
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve));
      await runtime.close();
      await Promise.all([pool.close(), glance.close(), table.close()]);
      secrets.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
