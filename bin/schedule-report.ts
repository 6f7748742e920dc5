import type { ScheduleView } from '../functions/api/schedule-view.ts';
import { time } from './format.ts';
import type { DayTime } from './schedule-wish.ts';
import { details, table } from './table.ts';

export function schedulesTable({ schedules }: { schedules: readonly ScheduleView[] }): string {
  if (schedules.length === 0) return 'No schedules.';
  return table(
    schedules.map((schedule) => ({
      SCHEDULE: schedule.id,
      NAME: schedule.name,
      OF: targetText(schedule),
      WHEN: timingText(schedule),
      TYPE: schedule.backupType,
      KEEP: schedule.keep,
      NEXT: schedule.enabled ? (schedule.nextRuns[0] ? time(schedule.nextRuns[0]) : null) : 'disabled',
    })),
  );
}

export function scheduleReport(schedule: ScheduleView): string {
  return details({
    Schedule: schedule.id,
    Name: schedule.name,
    Of: targetText(schedule),
    When: timingText(schedule),
    Window: schedule.flexibleMinutes > 0 ? `${schedule.flexibleMinutes} minutes` : null,
    Type: schedule.backupType,
    Keep: schedule.keep,
    Quiesce: schedule.quiesce,
    Format: schedule.flatten ? `${schedule.format}, flattened` : schedule.format,
    Device: schedule.device,
    'Restore tests': testsText(schedule),
    Enabled: schedule.enabled ? 'yes' : 'no',
    'Disabled because': schedule.disabledReason,
    'Made by': schedule.requestedBy,
    'Changed by': schedule.changedBy,
    'Next runs': schedule.nextRuns.length > 0 ? schedule.nextRuns.map(time).join(', ') : null,
  });
}

function testsText({ restoreTest, nextTest }: ScheduleView): string | null {
  if (!restoreTest) return null;
  const { every, sample, boot, sr } = restoreTest;
  const of = `${sample === 1 ? 'one VM' : `${sample} VMs`} ${every}${boot ? ', started' : ''}`;
  const on = sr === undefined ? '' : `, on ${sr}`;
  return `${of}${on}${nextTest === null ? '' : `, next ${time(nextTest)}`}`;
}

function targetText({ vm, selector }: ScheduleView): string {
  if (vm) return `${vm.name} (${vm.pool})`;
  const parts = Object.entries(selector ?? {}).map(([name, value]) => `${name} ${value}`);
  return parts.length > 0 ? parts.join(', ') : 'every VM';
}

function timingText({ cron, rate, daily, weekly, timeZone }: ScheduleView): string {
  if (rate !== undefined) return rate;
  const at = (time: DayTime) => time.window ?? time.at ?? '';
  const when = weekly ? `${weekly.day} ${at(weekly)}` : daily ? `daily ${at(daily)}` : cron;
  return `${when} ${timeZone}`;
}
