import { type OpenAPIHono, z } from '@hono/zod-openapi';
import { shorten } from '../../../glance/shorten.ts';
import { requestSnapshot } from '../../request.ts';
import type { Runtime } from '../../runtime/executions.ts';
import { isUuid } from '../../uuid.ts';
import { type Caller, callerOf, confinedTo, onBehalfOf } from '../caller.ts';
import { noteJob } from '../changes.ts';
import { findServer } from '../compute/servers.ts';
import { serve } from '../documented.ts';
import { Fault, faults } from '../faults.ts';
import { jsonBody } from '../json-body.ts';
import { line } from '../validation.ts';
import { visibleJob } from '../visible-job.ts';
import { CLOUD_SERVERS } from './faults.ts';
import { ImageView, viewOfImage, viewOfJob } from './image-view.ts';
import { checked } from './input.ts';

const TAGS = ['Cloud Servers v1.0'];

const NewImage = z
  .object({ image: z.object({ serverId: line(60), name: line(255) }) })
  .openapi('CloudServersNewImage', {
    example: { image: { serverId: '7a1f3c52-6d0e-4c39-8f5a-2f6f1f0f9f11', name: 'before-upgrade' } },
  });

/** `POST /images` and `GET /images/{id}`. */
export function routeImages(app: OpenAPIHono, runtime: Runtime): void {
  const content = { 'application/json': { schema: ImageView } };
  serve(
    app,
    {
      method: 'post',
      path: '/images',
      operationId: 'createCloudServersImage',
      tags: TAGS,
      summary: 'Takes an image of a server',
      request: { body: { required: true, content: { 'application/json': { schema: NewImage } } } },
      responses: {
        202: { description: 'The job has begun.', content },
        ...faults(CLOUD_SERVERS, 400, 401, 403, 404, 406, 409, 413, 415, 500, 501, 503),
      },
    },
    async (c) => {
      const { serverId, name } = checked(NewImage, await jsonBody(c)).image;
      const caller = callerOf(c, runtime.config);
      const { vm, pool } = await findServer(runtime, caller, serverId);
      const wish = { vm: vm.uuid, pool, name, ...onBehalfOf(caller) };
      const { job } = await requestSnapshot(wish, runtime);
      noteJob(c, job.id);
      return c.json(viewOfJob(job), 202);
    },
  );
  serve(
    app,
    {
      method: 'get',
      path: '/images/{id}',
      operationId: 'getCloudServersImage',
      tags: TAGS,
      summary: 'Tells how an image stands',
      description: 'QUEUED, PREPARING, SAVING, and then ACTIVE or FAILED.',
      request: { params: z.object({ id: z.string() }) },
      responses: {
        200: { description: 'The image.', content },
        ...faults(CLOUD_SERVERS, 401, 403, 404, 406, 500, 503),
      },
    },
    async (c) => {
      const id = c.req.param('id') ?? '';
      return c.json(await imageOf(id, callerOf(c, runtime.config), runtime));
    },
  );
}

/** A job that is over tells only what became of its image then; what is there now, Glance knows. */
async function imageOf(id: string, caller: Caller, { store, glance, config }: Runtime) {
  const job = await visibleJob('snapshot', id, caller, store);
  if (job && job.status !== 'succeeded') return viewOfJob(job);
  const image = isUuid(id) ? await glance.getImage(id) : undefined;
  const project = confinedTo(caller)?.id;
  if (
    image?.status === 'active' &&
    image.properties.xensnap_verified === 'true' &&
    image.properties.xensnap_installation === config.installation &&
    (project === undefined || image.properties.xensnap_project === project)
  )
    return job ? viewOfJob(job) : viewOfImage(image);
  throw new Fault(404, `There is no image ${shorten(id, 60)}.`);
}
