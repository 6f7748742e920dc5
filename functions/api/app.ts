import { OpenAPIHono } from '@hono/zod-openapi';
import packageJson from '../../package.json' with { type: 'json' };
import type { QueueDepth } from '../doctor.ts';
import type { Runtime } from '../runtime/executions.ts';
import { limitBody } from './body.ts';
import { createCompute } from './compute/app.ts';
import { COMPUTE_PATH } from './compute/links.ts';
import { COMPUTE_VERSION, routeVersions } from './compute/versions.ts';
import { routeDoctor } from './doctor.ts';
import { failureHandler } from './failure.ts';
import { routeHealth } from './health.ts';
import { routeHosts } from './hosts.ts';
import { type RunJanitor, routeJanitor } from './janitor.ts';
import { unroutedHandler } from './methods.ts';
import { problem } from './problem.ts';
import { routeSnapshots } from './snapshots.ts';
import { refuseInvalid } from './validation.ts';
import { routeVms } from './vms.ts';

export interface ApiOptions {
  /** Runs the janitor for POST /janitor; without it, that answers 501. */
  readonly janitor?: RunJanitor;
  /** For the doctor; without it, that does not look at the queue. */
  readonly queueDepth?: QueueDepth | undefined;
}

/** The whole HTTP API, for API Gateway and for the local service alike. */
export function createApi(runtime: Runtime, options: ApiOptions = {}): OpenAPIHono {
  // Not strict: clients ask for /v2.1/ as well as for /v2.1.
  const app = new OpenAPIHono({ defaultHook: refuseInvalid, strict: false });
  // First: these answer in words of their own, whatever they are asked.
  app.route(COMPUTE_PATH, createCompute(runtime));
  app.use(limitBody((c, message) => problem(c, 'BodyTooLarge', message)));
  routeVersions(app, [COMPUTE_VERSION]);
  routeSnapshots(app, runtime);
  routeVms(app, runtime);
  routeHosts(app, runtime);
  routeHealth(app, runtime);
  routeJanitor(app, runtime, options.janitor);
  routeDoctor(app, runtime, options.queueDepth);
  routeDocument(app);
  app.notFound(unroutedHandler(app));
  app.onError(failureHandler(runtime.log));
  return app;
}

function routeDocument(app: OpenAPIHono): void {
  let document: object | undefined;
  app.get('/openapi.json', (c) => {
    document ??= app.getOpenAPI31Document({
      openapi: '3.1.0',
      info: { title: 'xensnap', version: packageJson.version, description: packageJson.description },
    });
    return c.json(document);
  });
}
