import { OpenAPIHono } from '@hono/zod-openapi';
import type { Runtime } from '../../runtime/executions.ts';
import { jsonAlone, limitBody } from '../body.ts';
import { fault, faultHandler, unroutedFault } from '../faults.ts';
import { gate, type Knows } from '../gate.ts';
import { noJson } from '../json-body.ts';
import { rights } from '../rights.ts';
import { routeActions } from './actions.ts';
import { NOVA } from './faults.ts';
import { routeFlavors } from './flavors.ts';
import { COMPUTE_PATH } from './links.ts';
import { microversions } from './microversion.ts';
import { routeServers } from './server-routes.ts';
import { routeVersion } from './versions.ts';

/** So much of OpenStack's Compute API as clients need to take images and backups of servers, to mount at /v2.1. */
export function createCompute(runtime: Runtime, knows: Knows | undefined): OpenAPIHono {
  const app = new OpenAPIHono();
  app.use(gate(knows));
  app.use(rights(runtime));
  app.use(microversions);
  app.use(limitBody((c, message) => fault(NOVA, c, 413, message)));
  app.use(jsonAlone(noJson(NOVA), 'application/vnd.openstack.compute+json'));
  routeVersion(app);
  routeServers(app, runtime);
  routeFlavors(app, runtime);
  routeActions(app, runtime);
  app.all('*', unroutedFault(NOVA, app, COMPUTE_PATH));
  app.onError(faultHandler(NOVA, runtime));
  return app;
}
