import { type Command, InvalidArgumentError } from 'commander';
import type { ReportView, RetentionView } from '../answers.ts';
import { duration, size, time } from '../format.ts';
import { type ApiOptions, apiCommand, show } from '../options.ts';
import { table } from '../table.ts';

export function reportCommand(): Command {
  return apiCommand('report', 'Show what ran on a day, what did not and why, and how old the backups are', [
    'report',
    'report --date 2026-11-23',
  ])
    .option('--date <date>', 'UTC day, as YYYY-MM-DD (default: today)', day)
    .action(async ({ date, ...options }: ApiOptions & { date?: string }) => {
      const query = date === undefined ? '' : `?date=${date}`;
      await show(options, (client) => client.get<ReportView>(`/reports${query}`), reportText);
    });
}

export function retentionCommand(): Command {
  return apiCommand('retention', 'Say which backups of a schedule a rotation would delete now, and why', [
    'retention 7d0c6a0e-3c42-4c55-9a52-0d5f0f6f5c11',
  ])
    .argument('<schedule>', "the schedule's id")
    .option('--dry-run', 'as it always is: nothing is deleted')
    .action(async (id: string, options: ApiOptions) => {
      const path = `/schedules/${encodeURIComponent(id)}/retention`;
      await show(options, (client) => client.get<RetentionView>(path), retentionText);
    });
}

function day(text: string): string {
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return text;
  throw new InvalidArgumentError('It must be a day such as 2026-11-23.');
}

function reportText({ date, runs, omitted, vms, due }: ReportView): string {
  const parts = [
    runs.length === 0
      ? `No runs on ${date}.`
      : table(
          runs.map((run) => ({
            TIME: time(run.nominal),
            VM: run.vm?.name ?? null,
            TYPE: run.backupType,
            STATE: run.state,
            JOB: run.jobId,
            WHY: run.reason ? `${run.reason.name}: ${run.reason.message}` : null,
          })),
        ),
    omitted > 0 ? `${omitted} further runs: see GET /reports.` : '',
    vms.length === 0
      ? ''
      : table(
          vms.map((vm) => ({
            VM: vm.name,
            POOL: vm.pool,
            'LAST BACKUP': vm.lastBackup ? time(vm.lastBackup.verifiedAt) : 'none',
            IMAGE: vm.lastBackup?.imageId ?? null,
            AGE: duration(vm.ageHours * 3600),
          })),
        ),
    due.length === 0
      ? ''
      : table(
          due.map(({ at, name, scheduleId }) => ({ 'DUE NEXT': time(at), NAME: name, SCHEDULE: scheduleId })),
        ),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function retentionText({ keep, backupType, vms, unasked }: RetentionView): string {
  const rows = vms.flatMap((vm) =>
    vm.images.map((image) => ({
      VM: vm.name,
      IMAGE: image.id,
      VERIFIED: image.verifiedAt === null ? null : time(image.verifiedAt),
      SIZE: image.sizeBytes === null ? null : size(image.sizeBytes),
      ACTION: image.action,
      WHY: image.why,
    })),
  );
  return [
    `Each VM keeps ${keep} backups of the type ${backupType}.`,
    rows.length > 0 ? table(rows) : 'There are none yet.',
    ...unasked.map(({ pool, reason }) => `${pool ?? 'The VMs'}: ${reason.message}`),
  ].join('\n');
}
