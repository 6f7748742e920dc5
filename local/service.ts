import { mkdir } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { createApi } from '../functions/api/app.ts';
import type { Knows } from '../functions/api/gate.ts';
import { type JanitorReport, ROUND_SECONDS } from '../functions/janitor/finding.ts';
import { tidy } from '../functions/janitor.ts';
import type { Job } from '../functions/job.ts';
import { jsonLog } from '../functions/log.ts';
import { collectMetrics } from '../functions/metrics.ts';
import { admitBatch } from '../functions/queue/admit.ts';
import { queueDepth } from '../functions/queue/depth.ts';
import { reconcileOrphan, reconcileStranded } from '../functions/reconcile.ts';
import { createRuntime, type WholeRuntime } from '../functions/runtime.ts';
import { tick } from '../functions/schedules.ts';
import { translate } from '../functions/translate.ts';
import { startEventSource } from './aws/event-source.ts';
import { LOCAL_AWS } from './aws/in-process.ts';
import type { LocalQueue } from './aws/queue.ts';
import { ENDED_ATTEMPTS, rule } from './aws/rules.ts';
import { every } from './aws/schedule.ts';
import { type LocalClock, localClock } from './clock.ts';
import { handlersIn } from './handlers.ts';
import { ownHosts, refusalOf } from './own-callers.ts';
import { startParts } from './parts.ts';
import { authoritiesOf, configOf, type ServiceOptions } from './service-options.ts';
import { newToken, takes } from './token.ts';

/** The whole of xensnap on one machine: the same state machine and handlers as in AWS, behind the same protocols. */
export interface LocalService {
  readonly apiUrl: string;
  /** What callers of the API must send; undefined where nobody is asked for anything. */
  readonly token: string | undefined;
  readonly runtime: WholeRuntime;
  readonly queue: LocalQueue;
  /** Makes one round of the janitor now. */
  janitor(dryRun?: boolean, actor?: string): Promise<JanitorReport>;
  /** Looks at the schedules now. */
  tick(): Promise<void>;
  /** Checks that every pool and Glance answer and take the login. @throws an error with a message for the operator */
  check(): Promise<void>;
  /** Stops every job and tidies up after it, as far as that can be done now, and in a minute at most. */
  drain(): Promise<void>;
  /** Resolves when the status events so far have been dealt with. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

const TICK_SECONDS = 60;
const DRAIN_SECONDS = 60;

/** Starts the service. What it started is stopped again when one of its parts can't. */
export async function startService(options: ServiceOptions): Promise<LocalService> {
  const clock = options.clock ?? localClock();
  const log = jsonLog(options.logLine ?? (() => {}));
  const metrics = options.metrics ?? collectMetrics();
  await using starting = new AsyncDisposableStack();
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });

  // The handlers' runtime needs the parts' addresses, and the parts call the handlers: these wait for it.
  const ready = Promise.withResolvers<WholeRuntime>();
  const handlers = handlersIn(ready.promise);
  const failures = new Map<string, number>();
  const parts = await startParts(options, clock, {
    ...handlers,
    async ended(event) {
      const { name } = event.detail;
      try {
        await handlers.ended(event);
        failures.delete(name);
      } catch (error) {
        failures.set(name, (failures.get(name) ?? 0) + 1);
        throw error;
      }
    },
  });
  starting.defer(() => parts.close());
  const runtime = createRuntime(
    { ...parts.environment, XENSNAP_CONFIG: JSON.stringify(await configOf(options)) },
    {
      ...{ clock, log, metrics, aws: LOCAL_AWS, wait: (seconds) => clock.sleep(seconds) },
      authorities: authoritiesOf(options),
      ...(options.limitSpeed !== undefined && { limitSpeed: options.limitSpeed }),
    },
  );
  starting.defer(() => runtime.close());
  ready.resolve(runtime);
  // Nothing else works on this folder, so whatever is open was left by a service that was killed. What its jobs owe
  // after the first look, since a host is away or a snapshot may still come, is paid as after a bad end.
  const orphans = rule<string>({
    target: (jobId) => reconcileOrphan(jobId, runtime),
    clock,
    attempts: ENDED_ATTEMPTS,
  });
  starting.defer(() => orphans.stop());
  for (const jobId of await reconcileStranded(runtime)) orphans.deliver(jobId);

  const admission = startEventSource({
    client: runtime.sqs,
    queueUrl: parts.queue.queueUrl,
    queueArn: parts.queue.queueArn,
    handler: (event) => admitBatch(event, runtime),
    concurrency: 4,
    onError: (error) => log.error('admission failed', { reason: String(error) }),
  });
  starting.defer(() => admission.stop());
  const janitor = (dryRun = false, actor?: string) => tidy(runtime, { dryRun, actor });
  const rounds = every({
    seconds: options.janitorSeconds ?? ROUND_SECONDS,
    clock,
    run: () => janitor(),
    onError: (error) => log.error('the janitor failed', { reason: String(error) }),
  });
  starting.defer(() => rounds.stop());
  const ticks = every({
    name: 'backups',
    seconds: TICK_SECONDS,
    clock,
    run: () => tick(runtime),
    onError: (error) => log.error('the schedules failed', { reason: String(error) }),
  });
  starting.defer(() => ticks.stop());
  const token = options.token === 'none' ? undefined : (options.token ?? newToken());
  const api = await listen(
    createApi(runtime, {
      janitor,
      queueDepth: () => queueDepth(runtime.sqs, runtime.queueUrl),
      ...(token !== undefined && { knows: bearerOf(token) }),
    }),
    options,
  );
  starting.defer(() => api.close());

  const running = starting.move();
  return {
    apiUrl: api.url,
    token,
    runtime,
    queue: parts.queue,
    janitor,
    tick: () => tick(runtime),
    check: () => check(runtime),
    drain: () => drain(runtime, clock, failures),
    settled: () => parts.settled(),
    close: () => running.disposeAsync(),
  };
}

async function check(runtime: WholeRuntime): Promise<void> {
  const told = (what: string) => (error: unknown) => {
    throw new Error(`${what}: ${translate(error).message}`, { cause: error });
  };
  for (const { name, driver, addresses } of runtime.config.pools)
    if (driver === 'xenapi')
      await runtime
        .withSession(name, (xapi) => xapi.call('host.get_all_records'))
        .catch(told(`the pool at ${addresses.join(', ')}`));
  await runtime.glance.check().catch(told(`Glance at ${runtime.config.glance.url}`));
}

/** @param failures how often what each job owes could not be paid after its execution's bad end */
async function drain(
  runtime: WholeRuntime,
  clock: LocalClock,
  failures: ReadonlyMap<string, number>,
): Promise<void> {
  const { store, executions } = runtime;
  const deadline = clock.now().getTime() + DRAIN_SECONDS * 1000;
  for await (const job of store.jobs.open()) await executions.stop(job, 'The service was stopped.');
  // The status events do the work; what they could not pay stays on record for the next start.
  const isUnderWay = async (job: Job) => {
    const { id, debts } = job;
    // An image that waits for Glance or Keystone to come back harms nobody until then; a VM that is open may.
    const enough = [...(debts ?? [])].every((debt) => debt === 'image') ? 1 : 2;
    if ((failures.get(id) ?? 0) >= enough) return false;
    const status = (await executions.describe(job))?.status;
    return status !== undefined && status !== 'SUCCEEDED';
  };
  const anyUnderWay = async () => {
    for await (const job of store.jobs.open()) if (await isUnderWay(job)) return true;
    return false;
  };
  while (clock.now().getTime() < deadline && (await anyUnderWay())) await clock.sleep(0.2);
}

/** Takes the token where HTTP has its place, and where OpenStack's and Rackspace's clients have theirs. */
function bearerOf(token: string): Knows {
  const isToken = takes(token);
  return (headers) =>
    isToken(/^Bearer +(\S+)$/i.exec(headers.get('authorization') ?? '')?.[1]) ||
    isToken(headers.get('x-auth-token'));
}

async function listen(
  { fetch }: ReturnType<typeof createApi>,
  { apiPort = 0, hosts }: ServiceOptions,
): Promise<{ url: string; close(): Promise<void> }> {
  return new Promise((resolve, reject) => {
    let own: ReadonlySet<string> = new Set();
    const guarded: typeof fetch = (request, env) => {
      const refusal = refusalOf(own, request.method, (name) => request.headers.get(name));
      if (!refusal) return fetch(request, env);
      const { status, message } = refusal;
      const name = status === 421 ? 'MisdirectedRequest' : 'Forbidden';
      return Response.json({ error: { name, message } }, { status });
    };
    const server = serve(
      { fetch: guarded, port: apiPort, hostname: '127.0.0.1' },
      ({ port }: AddressInfo) => {
        own = ownHosts(port, hosts);
        resolve({
          url: `http://127.0.0.1:${port}`,
          close: () =>
            new Promise<void>((done) => {
              server.close(() => done());
              if ('closeAllConnections' in server) server.closeAllConnections();
            }),
        });
      },
    );
    server.once('error', reject);
  });
}
