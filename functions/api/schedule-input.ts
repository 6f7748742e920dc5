import { z } from '@hono/zod-openapi';
import { XensnapError } from '../errors.ts';
import { MOST_OF_PATTERN, patternProblem } from '../glob.ts';
import type { ScheduleWish } from '../schedules/save.ts';
import { type DayTime, type Timing, WEEKDAYS, WINDOWS } from '../schedules/timing.ts';
import { DEFAULT_FORMAT, DEFAULT_QUIESCE, IMAGE_FORMATS, QUIESCE, TEST_PERIODS } from '../words.ts';
import { DeviceInput, line, strict } from './validation.ts';

const window = z
  .string()
  .max(20)
  .optional()
  .openapi({ description: `The two hours over which VMs are spread: ${WINDOWS.join(', ')}.` });
const at = z.string().max(5).optional().openapi({ description: 'Time of day.', example: '04:30' });
/** Each is a restore, with all that one takes of the hosts. */
const MOST_TESTED = 20;
const Daily = strict({ window, at });
const Weekly = strict({ day: z.enum(WEEKDAYS), window, at });

/** The body of POST and PUT /schedules. */
export const NewSchedule = strict({
  name: line(255).optional(),
  vm: line(255).optional().openapi({ description: "A VM's UUID or name; or use `selector`." }),
  pool: line(60).optional().openapi({ description: 'Where several pools have such a VM.' }),
  selector: strict({
    tag: line(255).optional(),
    pool: line(60).optional(),
    namePattern: line(MOST_OF_PATTERN.characters)
      .refine((pattern) => patternProblem(pattern) === undefined, {
        error: ({ input }) => patternProblem(String(input)),
      })
      .optional()
      .openapi({ description: `\`*\` stands for any characters; at most ${MOST_OF_PATTERN.stars} of them.` }),
  })
    .optional()
    .openapi({ description: 'The VMs that fit all of this, looked up each time that the schedule is due.' }),
  cron: z.string().max(255).optional().openapi({
    description:
      'Six fields: minutes, hours, day of the month, month, day of the week (1 = SUN), year; `?` in one of the two days. One of cron, rate, daily and weekly must be given.',
    example: 'cron(0 2 ? * MON-FRI *)',
  }),
  rate: z.string().max(60).optional().openapi({ example: 'rate(6 hours)' }),
  daily: Daily.optional(),
  weekly: Weekly.optional(),
  timeZone: z
    .string()
    .max(64)
    .optional()
    .openapi({ description: 'IANA name.', default: 'UTC', example: 'Europe/Berlin' }),
  flexibleMinutes: z.int().min(0).max(1440).optional().openapi({
    description: 'The time after each nominal time over which the VMs are spread; a window sets it.',
  }),
  keep: z
    .int()
    .min(1)
    .max(10_000)
    .openapi({ description: 'Verified backups of the type that each VM keeps.' }),
  backupType: line(255)
    .optional()
    .openapi({ description: 'Each type rotates by itself. `daily` or `weekly` by default for those.' }),
  quiesce: z.enum(QUIESCE).optional().openapi({ default: DEFAULT_QUIESCE }),
  format: z
    .enum(IMAGE_FORMATS)
    .optional()
    .openapi({ description: 'A bundle of VHDs, or the bare disk.', default: DEFAULT_FORMAT }),
  device: DeviceInput.optional().openapi({
    description: 'Position of the disk to be imaged of each VM; the one that it boots from if absent.',
  }),
  flatten: z
    .boolean()
    .optional()
    .openapi({ description: 'One VHD, flattened by xapi; only with `vhd`.', default: false }),
  restoreTest: strict({
    every: z.enum(TEST_PERIODS).openapi({
      description: 'A month is 30 days. The first test is one period after this was asked for.',
    }),
    sample: z.int().min(1).max(MOST_TESTED).optional().openapi({
      description: 'So many VMs each time, those that were tested the longest ago.',
      default: 1,
    }),
    boot: z.boolean().optional().openapi({
      description: 'Starts the VM, on no network, and waits for its guest tools.',
      default: false,
    }),
    sr: line(255).optional().openapi({
      description: "UUID or name of the SR; where the VM's disk was, or the pool's default, if absent.",
    }),
  })
    .nullable()
    .optional()
    .openapi({
      description:
        'Restores the newest verified backups of some VMs, to prove that it can, and destroys them.',
    }),
  enabled: z.boolean().optional().openapi({ default: true }),
}).openapi('NewSchedule', {
  example: { vm: 'web-1', daily: { at: '02:00' }, timeZone: 'Europe/Berlin', keep: 7 },
});

/** @throws BadRequest unless there is one timing */
export function wishOf(body: z.infer<typeof NewSchedule>): ScheduleWish {
  const { cron, rate, daily, weekly, restoreTest, ...rest } = body;
  const timings: Timing[] = [
    ...(cron === undefined ? [] : [{ cron }]),
    ...(rate === undefined ? [] : [{ rate }]),
    ...(daily === undefined ? [] : [{ daily: timeOf(daily, 'daily') }]),
    ...(weekly === undefined ? [] : [{ weekly: { day: weekly.day, ...timeOf(weekly, 'weekly') } }]),
  ];
  const [timing, ...others] = timings;
  if (!timing || others.length > 0)
    throw new XensnapError('BadRequest', 'cron: give one of cron, rate, daily and weekly.');
  const tests = restoreTest ? present({ sample: 1, boot: false, ...present(restoreTest) }) : undefined;
  return present({ ...rest, timing, restoreTest: tests }) as ScheduleWish;
}

function timeOf(
  { window, at }: { window?: string | undefined; at?: string | undefined },
  of: string,
): DayTime {
  if (window !== undefined && at === undefined) return { window };
  if (at !== undefined && window === undefined) return { at };
  throw new XensnapError('BadRequest', `${of}: give either "window" or "at".`);
}

function present<T extends object>(given: T): object {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
