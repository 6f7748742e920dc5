import { type Command, InvalidArgumentError } from 'commander';
import type { ReportView } from '../../functions/api/report-view.ts';
import type { ApiClient } from '../client.ts';
import { CommandFailure } from '../failures.ts';
import { age, time } from '../format.ts';
import { type ApiOptions, apiCommand, show } from '../options.ts';
import { eachOnce, everyAnswer } from '../pages.ts';
import { table } from '../table.ts';

export function reportCommand(): Command {
  return apiCommand('report', 'Show what ran on a day, what did not and why, and how old the backups are', [
    'report',
    'report --date yesterday',
    'report --date 2026-11-23',
  ])
    .option('--date <date>', 'UTC day, as YYYY-MM-DD, today or yesterday (default: today)', day)
    .addHelpText(
      'after',
      '\nExit status: 1 where something of the day failed or was missed, or a backup or a test is overdue, or a backup lost; with --json too.',
    )
    .action(async ({ date, ...options }: ApiOptions & { date?: string }) => {
      const report = await show(
        options,
        (client) => wholeReport(client, date === undefined ? {} : { date }),
        (answer) => reportText(answer, new Date()),
      );
      if (!report.summary.ok) throw new CommandFailure(wrong(report.summary));
    });
}

/** All pages of a report as one, with the last one's summary, which was made last, and the gaps of all. */
async function wholeReport(client: ApiClient, query: Readonly<Record<string, string>>): Promise<ReportView> {
  const pages = await everyAnswer<ReportView>(client, '/reports', query);
  const last = pages.at(-1) ?? pages[0];
  return {
    ...last,
    runs: pages.flatMap(({ runs }) => runs),
    tests: pages.flatMap(({ tests }) => tests),
    testing: pages.flatMap(({ testing }) => testing),
    snapshots: pages.flatMap(({ snapshots }) => snapshots),
    vms: pages.flatMap(({ vms }) => vms),
    unprotected: pages.flatMap(({ unprotected }) => unprotected),
    due: pages.flatMap(({ due }) => due),
    gaps: eachOnce(
      pages.flatMap(({ gaps }) => gaps),
      ({ what }) => what,
    ),
  };
}

const DAY_MS = 86_400_000;

/** Reads a day of the calendar. */
function day(text: string): string {
  const ago = ['today', 'yesterday'].indexOf(text);
  if (ago !== -1) return new Date(Date.now() - ago * DAY_MS).toISOString().slice(0, 10);
  const parsed = /^\d{4}-\d\d-\d\d$/.test(text) ? new Date(`${text}T00:00:00Z`) : undefined;
  // 30 February is taken for the 1st or 2nd of March.
  if (parsed && !Number.isNaN(parsed.getTime()) && parsed.toISOString().startsWith(text)) return text;
  throw new InvalidArgumentError('It must be a day of the calendar such as 2026-11-23, today or yesterday.');
}

/** What is wrong, in one line. */
function wrong(summary: ReportView['summary']): string {
  const { failed, missed, overdue, lost, testsFailed, testsOverdue } = summary;
  const counts = [
    [failed, 'failed'],
    [missed, 'missed'],
    [overdue, 'overdue'],
    [lost, 'lost'],
    [testsFailed, testsFailed === 1 ? 'failed test' : 'failed tests'],
    [testsOverdue, testsOverdue === 1 ? 'schedule with overdue tests' : 'schedules with overdue tests'],
  ] as const;
  return counts
    .filter(([count]) => count > 0)
    .map(([count, what]) => `${count} ${what}`)
    .join(', ');
}

function reportText(report: ReportView, now: Date): string {
  const parts = [
    runsText(report, now),
    testsText(report),
    snapshotsText(report),
    vmsText(report, now),
    unprotectedText(report),
    report.due.length === 0
      ? ''
      : table(
          report.due.map(({ at, name, scheduleId }) => ({
            'DUE NEXT': time(at),
            NAME: name,
            SCHEDULE: scheduleId,
          })),
        ),
    omittedText(report.omitted),
    report.gaps.map(({ what, reason }) => `Not looked at: ${what}. ${reason.message}`).join('\n'),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function runsText({ date, runs }: ReportView, now: Date): string {
  const today = now.toISOString().slice(0, 10);
  if (runs.length === 0 && date > today) return `${date} is still to come.`;
  if (runs.length === 0) return `No schedule was due on ${date}${date === today ? ' so far' : ''}.`;
  return table(
    runs.map((run) => ({
      TIME: time(run.nominal),
      VM: run.vm?.name ?? null,
      TYPE: run.backupType,
      STATE: run.state,
      JOB: run.jobId,
      WHY: run.reason ? `${run.reason.name}: ${run.reason.message}` : null,
    })),
  );
}

function testsText({ tests, testing }: ReportView): string {
  const rows = tests.map((test) => ({
    TESTED: time(test.nominal),
    VM: test.vm?.name ?? null,
    IMAGE: test.imageId,
    STATE: test.state,
    JOB: test.jobId,
    WHY: test.reason ? `${test.reason.name}: ${test.reason.message}` : null,
  }));
  const overdue = testing.filter((schedule) => schedule.overdue);
  return [
    ...(rows.length > 0 ? [table(rows)] : []),
    ...overdue.map(
      ({ scheduleId, name, every, lastProven }) =>
        `Overdue: the schedule ${name ?? scheduleId} tests a restore ${every}, and ${lastProven === null ? 'none was ever proved' : `the last was proved on ${time(lastProven)}`}.`,
    ),
  ].join('\n');
}

function snapshotsText({ snapshots }: ReportView): string {
  if (snapshots.length === 0) return '';
  return table(
    snapshots.map((job) => ({
      'ON DEMAND': time(job.createdAt),
      VM: job.vm.name,
      TYPE: job.backupType ?? 'snapshot',
      STATE: job.status,
      JOB: job.jobId,
      WHY: job.reason ? `${job.reason.name}: ${job.reason.message}` : null,
    })),
  );
}

function vmsText({ vms }: ReportView, now: Date): string {
  if (vms.length === 0) return '';
  const rows = vms.map((vm) => ({
    VM: vm.name,
    POOL: vm.pool,
    'LAST BACKUP': vm.lastBackup ? time(vm.lastBackup.verifiedAt) : 'none',
    IMAGE: vm.lastBackup?.imageId ?? null,
    AGE: `${ageText(vm)}${vm.overdue ? ', overdue' : ''}`,
    'LAST PROVEN': vm.lastProven ? `${time(vm.lastProven.at)} (${vm.lastProven.reached})` : 'never',
    'LOOKED AT':
      vm.lookedAt === null ? 'never' : `${age((now.getTime() - Date.parse(vm.lookedAt)) / 1000)} ago`,
  }));
  return [table(rows), ...lostText(vms), ...failedTestsText(vms)].join('\n');
}

function failedTestsText(vms: ReportView['vms']): string[] {
  return vms.flatMap(({ name, failedTest }) =>
    failedTest
      ? [
          `${name}: The restore of ${failedTest.imageId} was tested on ${time(failedTest.at)} and failed (${failedTest.name}, job ${failedTest.jobId}).`,
        ]
      : [],
  );
}

/** Without a backup it is the time since one is missed. */
function ageText({ lastBackup, ageHours }: ReportView['vms'][number]): string {
  const time = age(ageHours * 3600);
  return lastBackup ? time : `scheduled ${time} ago`;
}

function lostText(vms: readonly Pick<ReportView['vms'][number], 'name' | 'lost'>[]): string[] {
  return vms.flatMap(({ name, lost }) => lost.map(({ message }) => `${name}: ${message}`));
}

function unprotectedText({ unprotected }: ReportView): string {
  if (unprotected.length === 0) return '';
  const rows = unprotected.map((vm) => ({
    'NOTHING PROTECTS': vm.name,
    POOL: vm.pool,
    UUID: vm.uuid,
    'LAST BACKUP': vm.lastBackup ? time(vm.lastBackup.verifiedAt) : 'none',
  }));
  return [table(rows), ...lostText(unprotected)].join('\n');
}

function omittedText(omitted: ReportView['omitted']): string {
  return Object.entries(omitted)
    .filter(([, count]) => count > 0)
    .map(([list, count]) => `${count} more ${list === 'vms' ? 'VMs' : list} had no room in the answer.`)
    .join('\n');
}
