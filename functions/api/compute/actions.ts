import { type OpenAPIHono, z } from '@hono/zod-openapi';
import { imageUrl } from '../../../glance/client.ts';
import { isNamed } from '../../errors.ts';
import { requestSnapshot } from '../../request.ts';
import type { Runtime } from '../../runtime/executions.ts';
import type { SnapshotRequest } from '../../snapshot-request.ts';
import { type Caller, callerOf, onBehalfOf } from '../caller.ts';
import { noteJob } from '../changes.ts';
import { serve } from '../documented.ts';
import { Fault, faults } from '../faults.ts';
import { jsonBody } from '../json-body.ts';
import { hearsAll } from '../told-to.ts';
import { Action, CreateBackup, CreateImage, refusalOf } from './action-input.ts';
import { NOVA } from './faults.ts';
import { findServer, jobOn, type Server, serverNotFound } from './servers.ts';
import { taskStateOf } from './states.ts';

type Wish = Pick<SnapshotRequest, 'name' | 'metadata' | 'backup'>;

/** What Nova says of what a hypervisor cannot do (common.raise_feature_not_supported). */
const NOT_SUPPORTED = 'The requested functionality is not supported.';

/** `POST /servers/{id}/action`: createImage and createBackup. */
export function routeActions(app: OpenAPIHono, runtime: Runtime): void {
  serve(
    app,
    {
      method: 'post',
      path: '/servers/{id}/action',
      operationId: 'actOnComputeServer',
      tags: ['Compute v2.1'],
      summary: 'Takes an image of a server, or makes a backup that replaces older ones',
      description:
        'The image is in Glance, `queued`, before the answer. An image whose job fails is deleted, so that clients that wait for it end.',
      request: {
        params: z.object({ id: z.string() }),
        body: { required: true, content: { 'application/json': { schema: Action } } },
      },
      responses: {
        202: {
          description: 'The job has begun.',
          headers: z.object({
            Location: z.string().optional().openapi({
              description: "The image's; absent for a backup with rotation 0, of which no image stays.",
            }),
          }),
        },
        ...faults(NOVA, 400, 401, 403, 404, 406, 409, 413, 415, 500, 501, 503),
      },
    },
    async (c) => {
      const { action, wish } = wishOf(await jsonBody(c));
      const caller = callerOf(c, runtime.config);
      const id = c.req.param('id') ?? '';
      const server = await findServer(runtime, caller, id);
      const imageId = await begin(action, server, {
        ...wish,
        ...onBehalfOf(caller),
      });
      noteJob(c, imageId);
      if (wish.backup?.keep !== 0) c.header('Location', locationOf(imageId, caller));
      return c.body(null, 202);
    },
  );

  /** Clients take the id from its end. Where we ask Glance is not for the callers of a project. */
  function locationOf(imageId: string, caller: Caller): string {
    const url = imageUrl(runtime.config.glance.url, imageId);
    return hearsAll(caller) ? url : new URL(url).pathname;
  }

  async function begin(
    action: string,
    server: Server,
    wish: Wish & ReturnType<typeof onBehalfOf>,
  ): Promise<string> {
    const { id, pool, vm } = server;
    try {
      const { job } = await requestSnapshot({ ...wish, vm: vm.uuid, pool }, runtime);
      return job.id;
    } catch (error) {
      if (isNamed(error, 'SnapshotInProgress')) {
        const job = await jobOn(server, runtime);
        const state = job ? taskStateOf(job) : 'image_uploading';
        throw new Fault(409, `Cannot '${action}' instance ${id} while it is in task_state ${state}`, {
          cause: error,
        });
      }
      if (isNamed(error, 'VmNotFound') || isNamed(error, 'VmGone')) throw serverNotFound(id);
      throw error;
    }
  }
}

function wishOf(body: unknown): { action: string; wish: Wish } {
  const names = typeof body === 'object' && body !== null && !Array.isArray(body) ? Object.keys(body) : [];
  const [action = ''] = names;
  if (names.length !== 1) throw new Fault(400, 'Malformed request body');
  const input = (body as Record<string, unknown>)[action];
  if (action === 'createImage') {
    const { name, metadata = {} } = checked(CreateImage, action, input);
    return { action, wish: { name, metadata } };
  }
  if (action === 'createBackup') {
    const { name, metadata = {}, backup_type: type, rotation: keep } = checked(CreateBackup, action, input);
    return { action, wish: { name, metadata, backup: { type, keep } } };
  }
  throw new Fault(501, NOT_SUPPORTED);
}

function checked<T extends z.ZodType>(schema: T, action: string, input: unknown): z.output<T> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw new Fault(400, refusalOf(action, result.error));
}
