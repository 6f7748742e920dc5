import { createHash } from 'node:crypto';
import { type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { glanceText } from '../../glance-text.ts';
import type { Runtime } from '../../runtime/executions.ts';
import { removeSchedule, saveSchedule } from '../../schedules/save.ts';
import type { Schedule } from '../../schedules/schedule.ts';
import { type Timing, WEEKDAYS, type Weekday, WINDOWS } from '../../schedules/timing.ts';
import { type Caller, callerOf, onBehalfOf } from '../caller.ts';
import { findServer, type Server } from '../compute/servers.ts';
import { serve } from '../documented.ts';
import { faults } from '../faults.ts';
import { jsonBody } from '../json-body.ts';
import { CLOUD_SERVERS } from './faults.ts';
import { checked } from './input.ts';

const DISABLED = 'DISABLED';

/** The hours of a weekly backup where there is no daily one to take them from. */
const ANY_WINDOW = 'H_0000_0200';

/** Each new backup takes the place of the one before, as that API has it. */
const KEEP = 1;

const BackupSchedule = z
  .object({
    backupSchedule: z.object({
      enabled: z.boolean(),
      weekly: z.enum([DISABLED, ...WEEKDAYS]).default(DISABLED),
      daily: z
        .enum([DISABLED, ...WINDOWS])
        .default(DISABLED)
        .openapi({ description: 'GMT. H_2200_0000 ends at midnight.' }),
    }),
  })
  .openapi('CloudServersBackupSchedule', {
    example: { backupSchedule: { enabled: true, daily: 'H_0400_0600' } },
  });

type Wish = z.infer<typeof BackupSchedule>['backupSchedule'];
type Kind = 'daily' | 'weekly';
const KINDS: readonly Kind[] = ['daily', 'weekly'];

/** `GET`, `POST` and `DELETE /servers/{id}/backup_schedule`: two schedules of ours, seen as one of that API. */
export function routeBackupSchedule(app: OpenAPIHono, runtime: Runtime): void {
  const { schedules } = runtime.store;

  async function find(c: Context): Promise<{ server: Server; caller: Caller }> {
    const caller = callerOf(c, runtime.config);
    return { caller, server: await findServer(runtime, caller, c.req.param('id') ?? '') };
  }

  async function save(kind: Kind, wish: Wish, server: Server, caller: Caller): Promise<void> {
    const id = scheduleId(kind, server, caller);
    const timing = timingOf(kind, wish);
    if (!timing) return removeSchedule(id, caller.project?.id, runtime);
    await saveSchedule(
      id,
      {
        name: glanceText(`${kind} backup of ${server.vm.name_label}`),
        vm: server.vm.uuid,
        pool: server.pool,
        timing,
        keep: KEEP,
        backupType: kind,
        enabled: wish.enabled,
        ...onBehalfOf(caller),
      },
      runtime,
    );
  }

  async function read(server: Server, caller: Caller): Promise<Wish> {
    const [daily, weekly] = await Promise.all(
      KINDS.map((kind) => schedules.get(scheduleId(kind, server, caller))),
    );
    return viewOf(daily, weekly);
  }

  const path = '/servers/{id}/backup_schedule';
  const tags = ['Cloud Servers v1.0'];
  const params = z.object({ id: z.string() });
  const content = { 'application/json': { schema: BackupSchedule } };
  const refusals = faults(CLOUD_SERVERS, 401, 403, 404, 406, 500, 501, 503);
  serve(
    app,
    {
      method: 'get',
      path,
      operationId: 'getCloudServersBackupSchedule',
      tags,
      summary: 'Tells when a server is backed up',
      request: { params },
      responses: { 200: { description: 'Daily and weekly.', content }, ...refusals },
    },
    async (c) => {
      const { server, caller } = await find(c);
      return c.json({ backupSchedule: await read(server, caller) });
    },
  );
  serve(
    app,
    {
      method: 'post',
      path,
      operationId: 'saveCloudServersBackupSchedule',
      tags,
      summary: 'Has a server backed up daily, weekly or both; each new backup replaces the one before',
      request: { params, body: { required: true, content } },
      responses: {
        204: { description: 'It is so from now on.' },
        ...refusals,
        ...faults(CLOUD_SERVERS, 400, 413, 415),
      },
    },
    async (c) => {
      const { backupSchedule } = checked(BackupSchedule, await jsonBody(c));
      const { server, caller } = await find(c);
      for (const kind of KINDS) await save(kind, backupSchedule, server, caller);
      return c.body(null, 204);
    },
  );
  serve(
    app,
    {
      method: 'delete',
      path,
      operationId: 'disableCloudServersBackupSchedule',
      tags,
      summary: 'Disables the schedule; what was chosen is still told',
      request: { params },
      responses: {
        204: { description: 'No more backups are made.' },
        ...refusals,
        ...faults(CLOUD_SERVERS, 413, 415),
      },
    },
    async (c) => {
      const { server, caller } = await find(c);
      const wish = { ...(await read(server, caller)), enabled: false };
      for (const kind of KINDS) await save(kind, wish, server, caller);
      return c.body(null, 204);
    },
  );
}

/** The schedule's id, made from VM, project and kind alone, so that a server always has the same two schedules. */
function scheduleId(kind: Kind, { pool, vm }: Server, { project }: Caller): string {
  const hash = createHash('sha256').update(
    JSON.stringify(['cloud-servers', project?.id, pool, vm.uuid, kind]),
  );
  // A UUID of version 8, whose bits are for us to say (RFC 9562).
  const [, a, b, c, d, e] = /^(.{8})(.{4}).(.{3}).(.{3})(.{12})/.exec(hash.digest('hex')) ?? [];
  return `${a}-${b}-8${c}-8${d}-${e}`;
}

function timingOf(kind: Kind, { daily, weekly }: Wish): Timing | undefined {
  if (kind === 'daily') return daily === DISABLED ? undefined : { daily: { window: daily } };
  if (weekly === DISABLED) return undefined;
  return { weekly: { day: weekly, window: daily === DISABLED ? ANY_WINDOW : daily } };
}

/** A schedule that was changed by the native API to something that this one cannot say is told as disabled. */
function viewOf(daily: Schedule | undefined, weekly: Schedule | undefined): Wish {
  const window =
    daily && 'daily' in daily.timing && 'window' in daily.timing.daily && daily.timing.daily.window;
  const day: Weekday | false | undefined = weekly && 'weekly' in weekly.timing && weekly.timing.weekly.day;
  return {
    enabled: [daily, weekly].some((schedule) => schedule?.enabled),
    weekly: day || DISABLED,
    daily: window || DISABLED,
  };
}
