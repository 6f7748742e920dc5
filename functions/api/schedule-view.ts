import { z } from '@hono/zod-openapi';
import type { Schedule } from '../schedules/schedule.ts';
import { nextNominal } from '../schedules/timing.ts';
import { DEFAULT_FORMAT, IMAGE_FORMATS, QUIESCE, TEST_PERIODS } from '../words.ts';

const time = z.iso.datetime();
const DayTime = { window: z.string().optional(), at: z.string().optional() };
/** Next times that are shown. */
const SHOWN = 5;

/** A schedule as callers see it. */
export const ScheduleView = z
  .object({
    id: z.uuid(),
    name: z.string().nullable(),
    vm: z.object({ pool: z.string(), uuid: z.string(), name: z.string() }).nullable(),
    selector: z
      .object({
        tag: z.string().optional(),
        pool: z.string().optional(),
        namePattern: z.string().optional(),
      })
      .nullable(),
    cron: z.string().optional(),
    rate: z.string().optional(),
    daily: z.object(DayTime).optional(),
    weekly: z.object({ day: z.string(), ...DayTime }).optional(),
    timeZone: z.string(),
    flexibleMinutes: z.int(),
    keep: z.int(),
    backupType: z.string(),
    quiesce: z.enum(QUIESCE),
    format: z.enum(IMAGE_FORMATS),
    device: z.string().nullable().openapi({ description: 'Null for the disk that the VM boots from.' }),
    flatten: z.boolean(),
    restoreTest: z
      .object({
        every: z.enum(TEST_PERIODS),
        sample: z.int(),
        boot: z.boolean(),
        sr: z.string().optional(),
      })
      .nullable()
      .openapi({ description: 'Which of its backups are restored to prove that they can be.' }),
    nextTest: time.nullable().openapi({ description: 'When the next of them are tested.' }),
    enabled: z.boolean(),
    disabledReason: z.string().nullable().openapi({ description: 'Why xensnap itself has disabled it.' }),
    requestedBy: z.string().nullable().openapi({ description: 'Who made it.' }),
    changedBy: z.string().nullable().openapi({ description: 'Who made or changed it last.' }),
    nextRuns: z
      .array(time)
      .openapi({ description: `The next nominal times, ${SHOWN} at most; none while disabled.` }),
    createdAt: time,
    updatedAt: time,
  })
  .openapi('Schedule');

export type ScheduleView = z.infer<typeof ScheduleView>;

/** A page of the list of schedules. */
export const SchedulePage = z
  .object({ schedules: z.array(ScheduleView), next: z.string().nullable() })
  .openapi('SchedulePage');

export type SchedulePage = z.infer<typeof SchedulePage>;

export function scheduleView(schedule: Schedule): ScheduleView {
  const { id, timing, vm, selector } = schedule;
  return {
    id,
    name: schedule.name ?? null,
    vm: vm ?? null,
    selector: selector ?? null,
    ...timing,
    timeZone: schedule.timeZone,
    flexibleMinutes: schedule.flexibleMinutes,
    keep: schedule.keep,
    backupType: schedule.backupType,
    quiesce: schedule.quiesce,
    format: schedule.format ?? DEFAULT_FORMAT,
    device: schedule.device ?? null,
    flatten: schedule.flatten ?? false,
    restoreTest: schedule.restoreTest ?? null,
    nextTest: schedule.nextTestAt ?? null,
    enabled: schedule.enabled,
    disabledReason: schedule.disabledReason ?? null,
    requestedBy: schedule.actor ?? null,
    changedBy: schedule.changedBy ?? null,
    nextRuns: nextRuns(schedule),
    createdAt: schedule.createdAt,
    updatedAt: schedule.updatedAt,
  };
}

function nextRuns(schedule: Schedule): string[] {
  const found: string[] = [];
  for (let next = schedule.nextAt; next !== undefined && found.length < SHOWN; ) {
    found.push(next);
    const after = nextNominal(schedule, Date.parse(next));
    next = after === undefined ? undefined : new Date(after).toISOString();
  }
  return found;
}
