import { createRoute, type OpenAPIHono } from '@hono/zod-openapi';
import { XensnapError } from '../errors.ts';
import { listRestorePoints } from '../restore-points.ts';
import type { Runtime } from '../runtime/executions.ts';
import { isUuid } from '../uuid.ts';
import { callerOf, confinedTo } from './caller.ts';
import { ImagePage, imageView } from './image-view.ts';
import { problems } from './problem.ts';
import { line, pageFields, strict } from './validation.ts';

const list = createRoute({
  method: 'get',
  path: '/images',
  operationId: 'listImages',
  summary: 'Lists restore points: the images that this installation has made, newest first',
  description: 'A project sees its own. Images that others have made can be restored, too, by their id.',
  request: {
    query: strict({
      vm: line(255)
        .optional()
        .openapi({ description: "The VM's UUID, or its name when the image was made." }),
      type: line(255).optional().openapi({ description: 'Backups of this type.', example: 'daily' }),
      pool: line(60).optional(),
      name: line(255).optional().openapi({ description: "The image's name, exactly." }),
      ...pageFields,
    }),
  },
  responses: {
    200: {
      description: 'A page. Go on with marker=next until next is null; a page may be shorter than the limit.',
      content: { 'application/json': { schema: ImagePage } },
    },
    ...problems(400, 401, 403, 500, 502, 503),
  },
});

export function routeImages(app: OpenAPIHono, runtime: Runtime): void {
  app.openapi(list, async (c) => {
    const { limit, marker, ...filter } = c.req.valid('query');
    if (marker !== undefined && !isUuid(marker))
      throw new XensnapError('BadRequest', 'marker: take it from "next" of the answer before, as it is.');
    const caller = callerOf(c, runtime.config);
    const { points, next } = await listRestorePoints(
      { ...filter, project: confinedTo(caller)?.id },
      { limit, ...(marker !== undefined && { after: marker }) },
      runtime,
    );
    return c.json({ images: points.map((point) => imageView(point, caller)), next }, 200);
  });
}
