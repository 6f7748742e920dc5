import { randomUUID } from 'node:crypto';
import { expiryOf } from '../clock.ts';
import type { Runtime } from '../runtime/executions.ts';
import { type KnownVm, lastTestOf, type VerifiedBackup } from '../store/backups.ts';
import { vmKey } from './coverage.ts';
import { tellRun } from './outcome.ts';
import type { Run } from './run.ts';
import type { Schedule } from './schedule.ts';
import { nextTest, testPeriodMs } from './test-times.ts';

const DAY_MS = 86_400_000;

/** A VM with the backup of it that would be tested. */
interface Candidate extends Pick<KnownVm, 'pool' | 'uuid'> {
  readonly backup: VerifiedBackup;
  /** When a backup of the VM was tested last, however that ended; empty where none ever was. */
  readonly lastTest: string;
}

/**
 * Puts a schedule's tests on record once their time has come, each under its number, so that a tick which died half-way is
 * finished by the next and none is made twice. Of several times that have come the last counts: a proof is as good later.
 * Answers when the next ones are due.
 */
export async function expandTests(
  schedule: Schedule,
  now: number,
  runtime: Runtime,
): Promise<string | undefined> {
  const { restoreTest, testAnchor, nextTestAt } = schedule;
  if (!restoreTest || testAnchor === undefined || nextTestAt === undefined) return undefined;
  if (Date.parse(nextTestAt) > now) return nextTestAt;
  const next = nextTest({ every: restoreTest.every, testAnchor }, now);
  const time = { nominal: iso(next - testPeriodMs(restoreTest.every)), next: iso(next) };
  const candidates = await candidatesOf(schedule, runtime);
  const taken = new Set<string>();
  for (let slot = 0; slot < restoreTest.sample; slot++) {
    const run = runOf(schedule, { ...time, slot });
    const there = await runtime.store.runs.get(run);
    const { pool = '', vmUuid = '' } = there ?? {};
    if (there) taken.add(vmKey({ pool, uuid: vmUuid }));
    else {
      const chosen = candidates.find((vm) => !taken.has(vmKey(vm)));
      if (!chosen) break;
      taken.add(vmKey(chosen));
      await create(run, chosen, now, runtime);
    }
  }
  if (taken.size === 0) await nothing(runOf(schedule, { ...time, slot: 0 }), runtime);
  return iso(next);
}

/** The VMs of which a verified backup of this schedule is there, those first that were tested the longest ago. */
async function candidatesOf({ id, vm }: Schedule, { store }: Runtime): Promise<readonly Candidate[]> {
  const found: Candidate[] = [];
  const add = (known: KnownVm) => {
    const backup = known.backups.find(({ scheduleId, lost }) => scheduleId === id && lost === undefined);
    const { pool, uuid } = known;
    if (backup) found.push({ pool, uuid, backup, lastTest: lastTestOf(known) });
  };
  if (vm) add(await store.backups.of(vm.pool, vm.uuid));
  else for await (const known of store.backups.all()) add(known);
  return found.sort((a, b) =>
    a.lastTest === b.lastTest ? (vmKey(a) < vmKey(b) ? -1 : 1) : a.lastTest < b.lastTest ? -1 : 1,
  );
}

type TestRun = Run & Required<Pick<Run, 'test'>>;

function runOf(
  { id, project, backupType }: Schedule,
  { nominal, next, slot }: { readonly nominal: string; readonly next: string; readonly slot: number },
): TestRun {
  return {
    ...{ scheduleId: id, nominal, next, backupType },
    ...(project !== undefined && { project }),
    test: { slot, imageId: '' },
  };
}

/** It may be asked for until the next ones are due, and for a day at most. */
async function create(
  run: TestRun,
  { pool, uuid, backup }: Candidate,
  now: number,
  runtime: Runtime,
): Promise<void> {
  const { imageId } = backup;
  const vmName = (await runtime.store.jobs.snapshot(imageId))?.vmName;
  const startBefore = Math.min(now + DAY_MS, Date.parse(run.next ?? ''));
  const made: Run = {
    ...run,
    ...{ pool, vmUuid: uuid, jobId: randomUUID(), startAfter: run.nominal, startBefore: iso(startBefore) },
    ...(vmName !== undefined && { vmName }),
    test: { slot: run.test.slot, imageId },
  };
  await runtime.store.runs.create(made, expiryOf(new Date(now), runtime.config.retainJobsDays));
}

async function nothing(run: TestRun, runtime: Runtime): Promise<void> {
  const reason = {
    name: 'NothingSelected',
    message: 'There is no verified backup of this schedule to test.',
  };
  await runtime.store.runs.create(run, expiryOf(runtime.clock.now(), runtime.config.retainJobsDays));
  await tellRun(run, undefined, { outcome: 'skipped', reason }, runtime);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
