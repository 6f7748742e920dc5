import { randomUUID } from 'node:crypto';
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { shorten } from '../../glance/shorten.ts';
import { XensnapError } from '../errors.ts';
import type { Runtime } from '../runtime/executions.ts';
import { judgeRetention } from '../schedules/retention.ts';
import { removeSchedule, saveSchedule } from '../schedules/save.ts';
import type { Schedule } from '../schedules/schedule.ts';
import { isUuid } from '../uuid.ts';
import { callerOf, confinedTo, onBehalfOf } from './caller.ts';
import { markerOf, positionOf } from './marker.ts';
import { problems } from './problem.ts';
import { RetentionView, retentionView } from './retention-view.ts';
import { NewSchedule, wishOf } from './schedule-input.ts';
import { SchedulePage, ScheduleView, scheduleView } from './schedule-view.ts';
import { markerField, pageFields, strict } from './validation.ts';
import { byName, vmPlaceOf } from './vm-place.ts';

const Id = z.object({ id: z.string().openapi({ format: 'uuid' }) });
const ofSchedule = { 'application/json': { schema: ScheduleView } };
const body = { required: true, content: { 'application/json': { schema: NewSchedule } } };

const create = createRoute({
  method: 'post',
  path: '/schedules',
  operationId: 'createSchedule',
  summary: 'Has backups made on a schedule',
  request: { body },
  responses: {
    201: {
      description: 'It is on record.',
      content: ofSchedule,
      headers: z.object({ Location: z.string().openapi({ example: '/schedules/{id}' }) }),
    },
    ...problems(400, 401, 403, 404, 409, 413, 415, 500, 501, 503),
  },
});

const list = createRoute({
  method: 'get',
  path: '/schedules',
  operationId: 'listSchedules',
  summary: 'Lists schedules, the newest first',
  request: { query: strict(pageFields) },
  responses: {
    200: {
      description: 'A page. Go on with marker=next until next is null.',
      content: {
        'application/json': { schema: SchedulePage },
      },
    },
    ...problems(400, 401, 403, 500, 503),
  },
});

const get = createRoute({
  method: 'get',
  path: '/schedules/{id}',
  operationId: 'getSchedule',
  summary: 'Shows a schedule and when it is due next',
  request: { params: Id },
  responses: {
    200: { description: 'The schedule.', content: ofSchedule },
    ...problems(401, 403, 404, 500, 503),
  },
});

const replace = createRoute({
  method: 'put',
  path: '/schedules/{id}',
  operationId: 'replaceSchedule',
  summary: 'Puts another schedule in the place of one',
  description:
    'What is left out is as in a new schedule. What is due already stays due unless the times change.',
  request: { params: Id, body },
  responses: {
    200: { description: 'The schedule as it is now.', content: ofSchedule },
    ...problems(400, 401, 403, 404, 409, 413, 415, 500, 501, 503),
  },
});

const remove = createRoute({
  method: 'delete',
  path: '/schedules/{id}',
  operationId: 'removeSchedule',
  summary: 'Removes a schedule',
  description: 'Its backups stay; a backup that has begun goes on.',
  request: { params: Id },
  responses: { 204: { description: 'It is gone.' }, ...problems(401, 403, 404, 413, 415, 500, 503) },
});

const retention = createRoute({
  method: 'get',
  path: '/schedules/{id}/retention',
  operationId: 'judgeRetention',
  summary: 'Says which backups a rotation would delete now, and why; deletes nothing',
  request: { params: Id, query: strict(markerField) },
  responses: {
    200: {
      description:
        'Each VM with its backups, by name: as many as there are time and room for. Go on with marker=next until next is null.',
      content: { 'application/json': { schema: RetentionView } },
    },
    ...problems(400, 401, 403, 404, 500, 502, 503),
  },
});

export function routeSchedules(app: OpenAPIHono, runtime: Runtime): void {
  const { store, config } = runtime;

  app.openapi(create, async (c) => {
    const schedule = await save(randomUUID(), c.req.valid('json'), c);
    c.header('Location', `/schedules/${schedule.id}`);
    return c.json(scheduleView(schedule), 201);
  });

  app.openapi(list, async (c) => {
    const { marker, limit } = c.req.valid('query');
    const after = marker === undefined ? undefined : positionOf(marker);
    const project = confinedTo(callerOf(c, config))?.id;
    const own = (await store.schedules.all())
      .filter((schedule) => project === undefined || schedule.project === project)
      .sort((a, b) => place(b).localeCompare(place(a)));
    const rest = own.filter((schedule) => !after || place(schedule) < place(after));
    const page = rest.slice(0, limit);
    const last = page.at(-1);
    return c.json(
      { schedules: page.map(scheduleView), next: last && rest.length > limit ? markerOf(last) : null },
      200,
    );
  });

  app.openapi(get, async (c) => c.json(scheduleView(await own(c.req.valid('param').id, c)), 200));

  app.openapi(replace, async (c) => {
    const { id, project } = await own(c.req.valid('param').id, c);
    return c.json(scheduleView(await save(id, c.req.valid('json'), c, project)), 200);
  });

  app.openapi(remove, async (c) => {
    const { id, project } = await own(c.req.valid('param').id, c);
    await removeSchedule(id, project, runtime);
    return c.body(null, 204);
  });

  app.openapi(retention, async (c) => {
    const caller = callerOf(c, config);
    const schedule = await own(c.req.valid('param').id, c);
    const { marker } = c.req.valid('query');
    const after = marker === undefined ? undefined : vmPlaceOf(marker);
    const judged = await judgeRetention(
      schedule,
      (vms) => vms.filter((vm) => !after || byName(vm, after) > 0).sort(byName),
      runtime,
    );
    return c.json(retentionView(schedule, judged, caller), 200);
  });

  /** An admin who changes a project's schedule leaves it the project's. */
  async function save(
    id: string,
    body: z.infer<typeof NewSchedule>,
    c: Context,
    of?: string,
  ): Promise<Schedule> {
    const wish = {
      ...wishOf(body),
      ...onBehalfOf(callerOf(c, config)),
      ...(of !== undefined && { project: of }),
    };
    return saveSchedule(id, wish, runtime);
  }

  async function own(id: string, c: Context): Promise<Schedule> {
    const confines = confinedTo(callerOf(c, config));
    const schedule = isUuid(id) ? await store.schedules.get(id) : undefined;
    if (schedule && (!confines || schedule.project === confines.id)) return schedule;
    throw new XensnapError('ScheduleNotFound', `There is no schedule ${shorten(id, 60)}.`);
  }
}

/** What schedules are sorted by; no two are the same. */
function place({ createdAt, id }: { createdAt: string; id: string }): string {
  return `${createdAt} ${id}`;
}
