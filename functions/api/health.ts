import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import packageJson from '../../package.json' with { type: 'json' };
import { keptFor, within } from '../bounded.ts';
import type { PoolConfig } from '../config.ts';
import type { Runtime } from '../runtime/executions.ts';
import { translate } from '../translate.ts';
import { problems, RetryAfter, retryLater } from './problem.ts';
import { hearsAll, listenerOf } from './told-to.ts';

/** Seconds that a probe may take: who asks this wants an answer. */
const PROBE_SECONDS = 3;

/** Seconds for which an answer is kept: everybody may ask, and each question goes to Glance and to the table. */
const KEPT_SECONDS = 5;

const status = z.enum(['ok', 'unavailable']);

/** All that strangers and the callers of a project are told. */
const StatusWord = z.object({ status }).openapi('HealthStatus');

const Health = z
  .object({
    status,
    version: z.string(),
    installation: z.string(),
    table: status,
    glance: z.object({
      status,
      version: z.string().nullable(),
      reason: z.string().nullable(),
    }),
    pools: z.array(
      z.object({
        name: z.string(),
        status: z.enum(['ok', 'failing', 'paused', 'unknown']).openapi({
          description: 'As the steps last found it; paused: no job of it goes on until then.',
        }),
        pausedUntil: z.iso.datetime().nullable(),
        reason: z.string().nullable(),
      }),
    ),
  })
  .openapi('Health');

type Health = z.infer<typeof Health>;
type PoolView = Health['pools'][number];

const answer = { 'application/json': { schema: z.union([Health, StatusWord]) } };
const get = createRoute({
  method: 'get',
  path: '/healthz',
  operationId: 'getHealth',
  summary: 'Tells whether jobs can run now',
  description: `In one word; to those who may do everything, also why. The answer is kept for ${KEPT_SECONDS} seconds.`,
  responses: {
    200: { description: 'They can.', content: answer },
    503: {
      description: 'The table or Glance does not answer, or every pool is paused.',
      content: answer,
      headers: RetryAfter,
    },
    ...problems(500),
  },
});

export function routeHealth(app: OpenAPIHono, runtime: Runtime): void {
  const health = keptFor(KEPT_SECONDS, runtime.clock, () => healthNow(runtime));
  app.openapi(get, async (c) => {
    const all = await health();
    const { status } = all;
    const body: Health | z.infer<typeof StatusWord> = hearsAll(listenerOf(c, runtime.config))
      ? all
      : { status };
    if (status === 'ok') return c.json(body, 200);
    retryLater(c);
    return c.json(body, 503);
  });
}

async function healthNow(runtime: Runtime): Promise<Health> {
  const { config } = runtime;
  const [glance, pools] = await Promise.all([
    probeGlance(runtime),
    Promise.all(config.pools.map((pool) => healthOf(pool, runtime))),
  ]);
  const table = pools.some((pool) => pool.status === 'unknown') ? 'unavailable' : 'ok';
  const stuck = pools.every((pool) => pool.status === 'paused');
  const status = glance.status === 'ok' && table === 'ok' && !stuck ? 'ok' : 'unavailable';
  return { status, version: packageJson.version, installation: config.installation, table, glance, pools };
}

async function probeGlance({ glance }: Runtime): Promise<Health['glance']> {
  const unavailable = (reason: string) => ({ status: 'unavailable' as const, version: null, reason });
  const late = unavailable(`no answer in ${PROBE_SECONDS} seconds`);
  const probe = glance.check().then(
    ({ version }) => ({ status: 'ok' as const, version, reason: null }),
    (error) => unavailable(translate(error).message),
  );
  return within(PROBE_SECONDS, probe, late);
}

async function healthOf({ name }: PoolConfig, { store, clock, log }: Runtime): Promise<PoolView> {
  const unknown: PoolView = {
    name,
    status: 'unknown',
    pausedUntil: null,
    reason: 'the table does not answer',
  };
  const read = store.pools.health(name).then(
    ({ failures, pausedUntil = null, reason = null }): PoolView => {
      const paused = pausedUntil !== null && Date.parse(pausedUntil) > clock.now().getTime();
      return { name, status: paused ? 'paused' : failures > 0 ? 'failing' : 'ok', pausedUntil, reason };
    },
    (error): PoolView => {
      log.error('the table does not answer', { error: translate(error).name });
      return unknown;
    },
  );
  return within(PROBE_SECONDS, read, unknown);
}
