import { OpenAPIHono, z } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import type { Runtime } from '../../runtime/executions.ts';
import { jsonAlone, limitBody } from '../body.ts';
import { ApiVersion, type KnownVersion, versionView } from '../compute/versions.ts';
import { serve } from '../documented.ts';
import { fault, faultHandler, faults, unroutedFault } from '../faults.ts';
import { gate, type Knows } from '../gate.ts';
import { noJson } from '../json-body.ts';
import { rights } from '../rights.ts';
import { routeBackupSchedule } from './backup-schedule.ts';
import { CLOUD_SERVERS } from './faults.ts';
import { routeImages } from './images.ts';
import { RACKSPACE_PATH } from './path.ts';

export const RACKSPACE_VERSION: KnownVersion = {
  id: 'v1.0',
  status: 'SUPPORTED',
  version: '',
  min_version: '',
  updated: '2011-02-01T00:00:00Z',
  path: RACKSPACE_PATH,
};

/** So much of Rackspace's Cloud Servers API v1.0 as takes images and schedules backups, to mount at /v1.0. */
export function createCloudServers(runtime: Runtime, knows: Knows | undefined): OpenAPIHono {
  const app = new OpenAPIHono();
  app.use(gate(knows));
  app.use(rights(runtime));
  app.use(jsonAnswers);
  app.use(limitBody((c, message) => fault(CLOUD_SERVERS, c, 413, message)));
  app.use(jsonAlone(noJson(CLOUD_SERVERS)));
  routeVersion(app);
  routeImages(app, runtime);
  routeBackupSchedule(app, runtime);
  app.all('*', unroutedFault(CLOUD_SERVERS, app, RACKSPACE_PATH));
  app.onError(faultHandler(CLOUD_SERVERS, runtime));
  return app;
}

/** That API has an XML form too, which is not spoken here. */
const jsonAnswers: MiddlewareHandler = async (c, next) => {
  const accepted = (c.req.header('accept') || '*/*').split(',').map((type) => type.split(';')[0]?.trim());
  if (accepted.some((type) => ['*/*', 'application/*', 'application/json'].includes(type ?? '')))
    return next();
  return fault(CLOUD_SERVERS, c, 406, 'This API answers in application/json only.');
};

function routeVersion(app: OpenAPIHono): void {
  serve(
    app,
    {
      method: 'get',
      path: '/',
      operationId: 'getCloudServersVersion',
      tags: ['Cloud Servers v1.0'],
      summary: 'Tells the version',
      responses: {
        200: {
          description: 'To everybody.',
          content: { 'application/json': { schema: z.object({ version: ApiVersion }) } },
        },
        ...faults(CLOUD_SERVERS, 406),
      },
    },
    (c) => c.json({ version: versionView(RACKSPACE_VERSION, c) }),
  );
}
