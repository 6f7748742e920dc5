import { OpenAPIHono } from '@hono/zod-openapi';
import type { QueueDepth } from '../doctor.ts';
import type { Runtime } from '../runtime/executions.ts';
import { jsonAlone, limitBody } from './body.ts';
import { logChanges } from './changes.ts';
import { createCompute } from './compute/app.ts';
import { COMPUTE_PATH } from './compute/links.ts';
import { COMPUTE_VERSION, routeVersions } from './compute/versions.ts';
import { routeDocs } from './docs/route.ts';
import { routeDoctor } from './doctor.ts';
import { failureHandler } from './failure.ts';
import { gate, type Knows } from './gate.ts';
import { routeHealth } from './health.ts';
import { routeHosts } from './hosts.ts';
import { routeImages } from './images.ts';
import { type RunJanitor, routeJanitor } from './janitor.ts';
import { unroutedHandler } from './methods.ts';
import { NOT_JSON, problem } from './problem.ts';
import { createCloudServers, RACKSPACE_VERSION } from './rackspace/app.ts';
import { RACKSPACE_PATH } from './rackspace/path.ts';
import { routeReports } from './reports.ts';
import { routeRestores } from './restores.ts';
import { rights } from './rights.ts';
import { routeSchedules } from './schedules.ts';
import { routeSnapshots } from './snapshots.ts';
import { refuseInvalid } from './validation.ts';
import { routeVms } from './vms.ts';

export interface ApiOptions {
  /** Runs the janitor for POST /janitor; without it, that answers 501. */
  readonly janitor?: RunJanitor;
  /** What the doctor asks for the queue's depth; without it, the doctor leaves the queue out. */
  readonly queueDepth?: QueueDepth | undefined;
  /** Whom to let in; without it all, whom API Gateway has authorised before. */
  readonly knows?: Knows | undefined;
}

/** The whole HTTP API, for API Gateway and for the local service alike. */
export function createApi(runtime: Runtime, options: ApiOptions = {}): OpenAPIHono {
  // Not strict: clients ask for /v2.1/ as well as for /v2.1.
  const app = new OpenAPIHono({ defaultHook: refuseInvalid, strict: false });
  app.use(logChanges(runtime));
  // First: these answer in words of their own, whatever they are asked.
  app.route(COMPUTE_PATH, createCompute(runtime, options.knows));
  app.route(RACKSPACE_PATH, createCloudServers(runtime, options.knows));
  app.use(gate(options.knows));
  app.use(rights(runtime));
  app.use(limitBody((c, message) => problem(c, 'BodyTooLarge', message)));
  app.use(jsonAlone((c) => problem(c, NOT_JSON.name, NOT_JSON.message)));
  routeVersions(app, [RACKSPACE_VERSION, COMPUTE_VERSION]);
  routeSnapshots(app, runtime);
  routeRestores(app, runtime);
  routeImages(app, runtime);
  routeSchedules(app, runtime);
  routeReports(app, runtime);
  routeVms(app, runtime);
  routeHosts(app, runtime);
  routeHealth(app, runtime);
  routeJanitor(app, runtime, options.janitor);
  routeDoctor(app, runtime, options.queueDepth);
  routeDocs(app);
  app.notFound(unroutedHandler(app));
  app.onError(failureHandler(runtime));
  return app;
}
