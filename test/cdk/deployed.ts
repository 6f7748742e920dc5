import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RestoreJob } from '../../functions/job.ts';
import { isKept } from '../../functions/restored.ts';
import { createRuntime } from '../../functions/runtime.ts';
import type { Counters } from '../../functions/store/counters.ts';
import { startEventSource } from '../../local/aws/event-source.ts';
import { LOCAL_AWS } from '../../local/aws/in-process.ts';
import { localClock } from '../../local/clock.ts';
import { type GlanceServer, startGlance } from '../../local/glance/server.ts';
import { leftBehind, lookAround } from '../../local/leftovers.ts';
import { startParts } from '../../local/parts.ts';
import { startPool } from '../../local/pool/pool.ts';
import { configOf, type ServiceOptions } from '../../local/service-options.ts';
import { askRestore, restored, takeAway } from '../support/restoring.ts';
import { glanceOf, PLUGIN_FILE, POOL_NAME, poolOf } from '../support/scenario.ts';
import { type Bundled, load } from './assembly.ts';
import { type AwsCalls, watchAwsCalls } from './aws-calls.ts';

/** The bundles at work: behind the local AWS, on a simulated pool and the embedded Glance. */
export interface Deployed {
  readonly calls: AwsCalls;
  /** The API's function, asked as API Gateway asks it. */
  ask(
    method: string,
    path: string,
    body?: object,
  ): Promise<{ status: number; body: Record<string, unknown> }>;
  invoke(name: string, event: unknown): Promise<unknown>;
  /** Restores an image, and takes away what was brought back. Answers the job once nothing is owed. */
  restore(image: string, wish?: Parameters<typeof askRestore>[2]): Promise<RestoreJob>;
  /** Resolves when reconcile has dealt with every execution that ended badly. */
  settled(): Promise<void>;
  leftBehind(): Promise<string[]>;
  readonly vmUuids: readonly string[];
  readonly glance: GlanceServer;
  readonly counters: Counters;
}

/** Deploys the bundles into this process. Its environment is theirs until the end, which `atEnd` is given. */
export async function deploy(
  bundles: readonly Bundled[],
  atEnd: (close: () => Promise<unknown>) => void,
): Promise<Deployed> {
  const folder = await mkdtemp(join(tmpdir(), 'xensnap-'));
  atEnd(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const clock = localClock(5);
  const pool = await startPool({
    dataDir: join(folder, 'pool'),
    pluginFile: PLUGIN_FILE,
    clock,
    diskMib: 8,
    vms: 2,
    guestWrites: false,
  });
  atEnd(() => pool.close());
  const token = `token-${randomUUID()}`;
  const glance = await startGlance({ dataDir: join(folder, 'glance'), clock, token });
  atEnd(() => glance.close());
  const options: ServiceOptions = {
    dataDir: join(folder, 'service'),
    pools: [poolOf(pool)],
    glance: glanceOf(glance, { token }),
  };
  const invoke = invoker(bundles);
  const parts = await startParts(options, clock, {
    step: (name, state) => invoke(name, state),
    ended: async (event) => {
      await invoke('Reconcile', event);
    },
  });
  atEnd(() => parts.close());
  const calls = await watchAwsCalls(parts.environment);
  atEnd(() => calls.close());
  await writeFile(join(folder, 'config.json'), JSON.stringify(await configOf(options)));
  const environment = {
    ...parts.environment,
    AWS_REGION: LOCAL_AWS.region,
    AWS_ACCESS_KEY_ID: LOCAL_AWS.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: LOCAL_AWS.credentials.secretAccessKey,
    LAMBDA_TASK_ROOT: folder,
    XENSNAP_CONFIG_FILE: 'config.json',
  };
  invoke.in(environment, calls);
  // This client only looks; the work is done by the bundles.
  const runtime = createRuntime(environment, { aws: LOCAL_AWS });
  atEnd(() => runtime.close());
  const admission = startEventSource({
    client: runtime.sqs,
    queueUrl: parts.queue.queueUrl,
    queueArn: parts.queue.queueArn,
    handler: async (event) => invoke('Admit', event) as Promise<never>,
  });
  atEnd(() => admission.stop());
  const service = { runtime, queue: parts.queue };
  const before = await lookAround(service, pool, POOL_NAME);
  return {
    calls,
    ask: (...request) => askApi(invoke, ...request),
    invoke,
    async restore(image, wish = {}) {
      const done = await restored({ runtime }, await askRestore({ runtime }, image, wish));
      if (isKept(done)) await takeAway({ runtime }, done);
      return done;
    },
    settled: () => parts.settled(),
    leftBehind: async () => leftBehind(before, await lookAround(service, pool, POOL_NAME)),
    vmUuids: pool.vms().map(({ uuid }) => uuid),
    glance,
    counters: runtime.store.counters,
  };
}

type Invoke = ((name: string, event: unknown) => Promise<unknown>) & {
  in(environment: Record<string, string | undefined>, calls: AwsCalls): void;
};

/** A bundle reads the environment when it is first called: then it is given one of its own. */
function invoker(bundles: readonly Bundled[]): Invoke {
  const loaded = new Map<string, ReturnType<typeof load>>();
  let prepare = (_name: string) => {};
  const invoke = async (name: string, event: unknown) => {
    let handler = loaded.get(name);
    if (!handler) {
      const bundled = bundles.find((each) => each.name === name);
      if (!bundled) throw new Error(`no function ${name} in the assembly`);
      prepare(name);
      handler = load(bundled);
      loaded.set(name, handler);
    }
    return handler(event, {});
  };
  return Object.assign(invoke, {
    in(environment: Record<string, string | undefined>, calls: AwsCalls) {
      prepare = (name) => Object.assign(process.env, environment, calls.endpointsOf(name));
    },
  });
}

async function askApi(invoke: Invoke, method: string, path: string, body?: object) {
  const event = {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: '',
    headers: { host: 'api.example.com', ...(body && { 'content-type': 'application/json' }) },
    requestContext: {
      http: { method, path },
      domainName: 'api.example.com',
      authorizer: { iam: { userArn: 'arn:aws:iam::111122223333:user/operator' } },
    },
    isBase64Encoded: false,
    ...(body && { body: JSON.stringify(body) }),
  };
  const answer = (await invoke('Api', event)) as { statusCode: number; body?: string };
  return { status: answer.statusCode, body: JSON.parse(answer.body || '{}') };
}
