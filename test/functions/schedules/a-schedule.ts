import type { Schedule } from '../../../functions/schedules/schedule.ts';

/** A daily schedule as it is on record, made at an instant and due at `nextAt`. */
export function aSchedule(at: Date, fields: Partial<Schedule>): Schedule {
  const made = at.toISOString();
  return {
    ...{ id: crypto.randomUUID(), timing: { daily: { at: '02:00' } }, timeZone: 'UTC', flexibleMinutes: 0 },
    ...{ keep: 7, backupType: 'daily', quiesce: 'never', enabled: true, anchor: made, revision: 'r' },
    ...{ createdAt: made, updatedAt: made },
    ...fields,
  };
}
