import { z } from '@hono/zod-openapi';
import { shorten } from '../../glance/shorten.ts';
import type { ErrorName, Reason, RunReasonName } from '../errors.ts';
import type { SnapshotJob } from '../job.ts';
import type { OtherVm, ProtectedVm } from '../schedules/ages.ts';
import { PROTECTED_HOURS, type Report, type ReportedRun, type TestedSchedule } from '../schedules/report.ts';
import { RUN_STATES } from '../schedules/run.ts';
import type { VerifiedBackup } from '../store/backups.ts';
import { JOB_STATUSES, REACHED, TEST_PERIODS } from '../words.ts';
import { type Entry, type Place, pageOf, type ReportPlace } from './report-pages.ts';
import { type Listener, toldTo } from './told-to.ts';
import { startOfName } from './vm-place.ts';

const time = z.iso.datetime();
const reason = z.object({ name: z.string(), message: z.string() });
const vm = z.object({ pool: z.string(), uuid: z.string(), name: z.string() });

/** Lost backups told per VM; older ones would add nothing. */
const MOST_LOST = 3;
/** Length of a reason; the job's record has all of it. */
const MOST_CHARACTERS = 1000;
/** Each pool that is away is one. */
const MOST_GAPS = 100;

const Backup = z.object({ imageId: z.string(), type: z.string(), verifiedAt: time });

const Test = z.object({ imageId: z.string(), jobId: z.string(), at: time });

const Standing = {
  lastProven: Test.extend({ seconds: z.int(), reached: z.enum(REACHED) })
    .nullable()
    .openapi({
      description:
        'The last restore that was proved by a test: the disk whole, the VM started, or its guest tools seen.',
    }),
  failedTest: Test.extend({ name: z.string() }).nullable().openapi({
    description: 'The last test that failed, with its error’s name; null where a later one did not.',
  }),
  lastBackup: Backup.nullable().openapi({ description: 'The last verified one that is in Glance.' }),
  lost: z.array(Backup.extend({ foundAt: time, message: z.string() })).openapi({
    description: `Newer ones that were verified, and that Glance no longer has or has otherwise; the last ${MOST_LOST} of them.`,
  }),
  lookedAt: time.nullable().openapi({
    description: 'When lastBackup was last seen to be there; longer ago where Glance does not answer.',
  }),
};

export const ReportView = z
  .object({
    date: z.iso.date(),
    summary: z
      .object({
        ok: z.boolean().openapi({ description: 'Nothing failed, was missed, is lost, or is overdue.' }),
        failed: z.int().openapi({ description: 'Runs and snapshots on demand of the day.' }),
        missed: z.int().openapi({
          description: 'Runs of the day that were not begun: too late, VM busy, nothing selected.',
        }),
        overdue: z.int().openapi({
          description: 'VMs without a backup for longer than twice the longest time between two runs.',
        }),
        testsFailed: z.int().openapi({ description: 'Tests of the day.' }),
        testsOverdue: z.int().openapi({
          description: 'Schedules whose tests have proved nothing for more than two of their periods.',
        }),
        lost: z.int().openapi({ description: 'VMs whose last verified backup is not there any more.' }),
        unprotected: z.int().openapi({ description: 'Does not count against ok.' }),
        succeeded: z.int(),
      })
      .openapi({ description: 'Over all there are, on whichever page.' }),
    runs: z.array(
      z.object({
        scheduleId: z.uuid(),
        nominal: time,
        vm: vm
          .nullable()
          .openapi({ description: 'Null where a run came to nothing before its VMs were known.' }),
        pool: z.string().nullable(),
        backupType: z.string(),
        jobId: z.uuid().nullable(),
        state: z.enum(RUN_STATES),
        reason: reason.nullable(),
        finishedAt: time.nullable(),
      }),
    ),
    tests: z
      .array(
        z.object({
          scheduleId: z.uuid(),
          nominal: time,
          vm: vm.nullable().openapi({ description: 'Null where there was nothing to test.' }),
          imageId: z.string().nullable(),
          jobId: z.uuid().nullable(),
          state: z.enum(RUN_STATES),
          reason: reason.nullable(),
          finishedAt: time.nullable(),
        }),
      )
      .openapi({ description: "The day's tests of restores that schedules had." }),
    testing: z
      .array(
        z.object({
          scheduleId: z.uuid(),
          name: z.string().nullable(),
          every: z.enum(TEST_PERIODS),
          lastProven: time.nullable().openapi({ description: 'When a restore of one of its backups was.' }),
          nextTest: time.nullable(),
          overdue: z.boolean(),
        }),
      )
      .openapi({ description: 'The enabled schedules that test restores, those first that are overdue.' }),
    snapshots: z
      .array(
        z.object({
          jobId: z.uuid(),
          createdAt: time,
          vm,
          backupType: z.string().nullable().openapi({ description: 'Null for a snapshot.' }),
          status: z.enum(JOB_STATUSES),
          reason: reason.nullable(),
          finishedAt: time.nullable(),
        }),
      )
      .openapi({ description: "The day's jobs that no schedule asked for, the newest first." }),
    vms: z.array(vm.extend({ ...Standing, ageHours: z.number(), overdue: z.boolean() })).openapi({
      description:
        'The VMs that enabled schedules cover now, the oldest backup first. ageHours is of lastBackup; without one, since the VM is scheduled.',
    }),
    unprotected: z.array(vm.extend({ ...Standing, ageHours: z.number().nullable() })).openapi({
      description: `VMs that no enabled schedule covers and that have no verified backup of the last ${PROTECTED_HOURS} hours.`,
    }),
    due: z
      .array(z.object({ scheduleId: z.uuid(), name: z.string().nullable(), at: time }))
      .openapi({ description: 'When each enabled schedule is due next.' }),
    omitted: z
      .object({
        ...{ runs: z.int(), tests: z.int(), testing: z.int(), snapshots: z.int() },
        ...{ vms: z.int(), unprotected: z.int(), due: z.int() },
      })
      .openapi({
        description:
          'How many of each list are on later pages. Of runs, tests and snapshots those that had failed or been skipped when the first page was made come first then.',
      }),
    gaps: z
      .array(z.object({ what: z.string(), reason }))
      .openapi({ description: 'What could not be looked at, and why.' }),
    next: z.string().nullable().openapi({ description: 'The marker of the next page; null on the last.' }),
  })
  .openapi('Report');

export type ReportView = z.infer<typeof ReportView>;

/**
 * A page of a report as this caller sees it: so much of each list as there is room for.
 * @param after where the page before ended; for the first page, its day and when it is made
 */
export function reportView(report: Report, listener: Listener, after: ReportPlace): ReportView {
  const told = (why: Reason) => shortened(toldTo(listener, why));
  /** What had gone wrong by the first page comes first on all of them. */
  const worst = ({ finishedAt = '' }: { finishedAt?: string }, state: string) =>
    isBad(state) && finishedAt <= after.at ? 0 : 1;
  const ofRun = (run: ReportedRun): Place => [
    ...[worst(run, run.state), run.nominal, run.scheduleId, run.pool ?? '', run.vmUuid ?? ''],
    run.test?.slot ?? 0,
  ];
  const entries = <T, V>(items: readonly T[], view: (item: T) => V, place: (item: T) => Place) =>
    items.map((item): Entry<V> => ({ view: view(item), place: place(item) }));
  const { page, left, next } = pageOf(
    {
      runs: entries(report.runs, (run) => runView(run, told), ofRun),
      tests: entries(report.tests, (run) => testView(run, told), ofRun),
      testing: entries(report.testing, testingView, ({ overdue, id }) => [overdue ? 0 : 1, id]),
      snapshots: entries(
        report.snapshots,
        (job) => snapshotView(job, told),
        (job) => [worst(job, job.status), -Date.parse(job.createdAt), job.id],
      ),
      vms: entries(report.vms, protectedView, ({ oldest, pool, uuid }) => [
        oldest < after.at ? oldest : after.at,
        pool,
        uuid,
      ]),
      unprotected: entries(report.unprotected, otherView, ({ name, pool, uuid }) => [
        startOfName(name),
        pool,
        uuid,
      ]),
      due: entries(
        report.due,
        ({ id, name = null, nextAt = '' }) => ({ scheduleId: id, name, at: nextAt }),
        ({ id, nextAt = '' }) => [nextAt, id],
      ),
    },
    after,
  );
  return {
    date: after.date,
    summary: summaryOf(report),
    ...page,
    omitted: left,
    gaps: report.gaps.slice(0, MOST_GAPS).map(({ what, reason }) => ({ what, reason: told(reason) })),
    next,
  };
}

/** Reasons for which a run is skipped although a backup was wanted. */
const MISSED: ReadonlySet<string> = new Set<ErrorName | RunReasonName>([
  'RunMissed',
  'VmBusy',
  'NothingSelected',
]);

function summaryOf({ runs, tests, testing, snapshots, vms, unprotected }: Report): ReportView['summary'] {
  const of = (state: string) =>
    runs.filter((run) => run.state === state).length +
    snapshots.filter(({ status }) => status === state).length;
  const counts = {
    failed: of('failed'),
    missed: runs.filter(({ state, reason }) => state === 'skipped' && MISSED.has(reason?.name ?? '')).length,
    overdue: vms.filter(({ overdue }) => overdue).length,
    lost: vms.filter(({ lost }) => lost.length > 0).length,
    testsFailed: tests.filter(({ state }) => state === 'failed').length,
    testsOverdue: testing.filter(({ overdue }) => overdue).length,
  };
  return {
    ok: Object.values(counts).every((count) => count === 0),
    ...counts,
    unprotected: unprotected.length,
    succeeded: of('succeeded'),
  };
}

const isBad = (state: string) => state === 'failed' || state === 'skipped';

/** How a reason is told to who asks. */
type Tell = (why: Reason) => Reason;

function runView(run: ReportedRun, told: Tell): ReportView['runs'][number] {
  return { ...endOf(run, told), pool: run.pool ?? null, backupType: run.backupType };
}

function testView(run: ReportedRun, told: Tell): ReportView['tests'][number] {
  return { ...endOf(run, told), imageId: run.test?.imageId || null };
}

function endOf(run: ReportedRun, told: Tell) {
  const { pool, vmUuid, vmName = '' } = run;
  return {
    scheduleId: run.scheduleId,
    nominal: run.nominal,
    vm: pool !== undefined && vmUuid !== undefined ? { pool, uuid: vmUuid, name: vmName } : null,
    // A run that was missed never had one.
    jobId: run.jobId ?? null,
    state: run.state,
    reason: run.reason ? told(run.reason) : null,
    finishedAt: run.finishedAt ?? null,
  };
}

function testingView(schedule: TestedSchedule): ReportView['testing'][number] {
  const { id: scheduleId, name = null, restoreTest, provenAt = null, nextTestAt = null, overdue } = schedule;
  return { scheduleId, name, every: restoreTest.every, lastProven: provenAt, nextTest: nextTestAt, overdue };
}

function snapshotView(job: SnapshotJob, told: Tell): ReportView['snapshots'][number] {
  return {
    jobId: job.id,
    createdAt: job.createdAt,
    vm: { pool: job.pool, uuid: job.vmUuid, name: job.vmName },
    backupType: job.request.backup?.type ?? null,
    status: job.status,
    reason: job.error ? told(job.error) : null,
    finishedAt: job.finishedAt ?? null,
  };
}

function protectedView(vm: ProtectedVm): ReportView['vms'][number] {
  const { ageHours, overdue } = vm;
  return { ...otherView(vm), ageHours, overdue };
}

function otherView(vm: OtherVm): ReportView['unprotected'][number] {
  const { pool, uuid, name, last, lost, lookedAt = null, ageHours = null } = vm;
  return {
    ...{ pool, uuid, name, lookedAt, ageHours },
    lastBackup: last ? backupView(last) : null,
    ...testsView(vm),
    lost: lost.slice(0, MOST_LOST).map((backup) => ({
      ...backupView(backup),
      foundAt: backup.lost?.foundAt ?? backup.verifiedAt,
      message: `The image ${backup.imageId}, verified on ${backup.verifiedAt}, ${backup.lost?.what}.`,
    })),
  };
}

/** A failure that a later proof has made good is over. */
function testsView({ tests: { proven, failed } }: Pick<OtherVm, 'tests'>) {
  const isOver = failed !== undefined && proven !== undefined && failed.at < proven.at;
  const of = ({ imageId, jobId, at }: NonNullable<typeof proven | typeof failed>) => ({ imageId, jobId, at });
  return {
    lastProven: proven ? { ...of(proven), seconds: proven.seconds, reached: proven.reached } : null,
    failedTest: failed && !isOver ? { ...of(failed), name: failed.name } : null,
  };
}

function backupView({ imageId, type, verifiedAt }: VerifiedBackup) {
  return { imageId, type, verifiedAt };
}

function shortened({ name, message }: Reason) {
  return { name, message: shorten(message, MOST_CHARACTERS) };
}
