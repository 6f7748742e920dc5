import { mapBounded } from './bounded.ts';
import { stopCancelled } from './cancel.ts';
import { requestSnapshot } from './request.ts';
import { requestRestore } from './restore-request.ts';
import { lambdaRuntime, type Runtime } from './runtime/executions.ts';
import { tellAges } from './schedules/ages.ts';
import { beginRuns } from './schedules/begin.ts';
import { expandSchedule } from './schedules/expand.ts';
import { askOnce } from './schedules/pool-vms.ts';
import { inTurns } from './schedules/turns.ts';

/** Schedules that are expanded at a time: one whose pool hangs does not hold up the others. */
const EXPANDED_AT_ONCE = 4;
/**
 * No further schedule is expanded after so long, and no further job asked for after so long, in seconds of a tick, which
 * has 180: what is left comes first in the next one.
 */
const EXPAND_SECONDS = 60;
const BEGIN_SECONDS = 120;

/** Every minute. */
export async function handler(): Promise<void> {
  await tick(lambdaRuntime());
}

/**
 * Looks which schedules are due, puts their runs on record and asks for the jobs of those whose time has come. May come
 * late, twice or at the same time as another. One schedule that fails does not keep the others from running. Stops what
 * was cancelled and could not be stopped at once, too, since nothing else comes every minute.
 * @param request asks for a backup's job, and `restore` for that of a test of one; for tests that need no pool
 * @throws the first failure, once everything else is done
 */
export async function tick(
  runtime: Runtime,
  request: typeof requestSnapshot = requestSnapshot,
  restore: typeof requestRestore = requestRestore,
): Promise<void> {
  const failures: unknown[] = [];
  const attempt = async (work: () => Promise<unknown>) => {
    try {
      await work();
    } catch (error) {
      failures.push(error);
    }
  };
  const { store, clock } = runtime;
  const started = clock.now().getTime();
  const isIn = (seconds: number) => clock.now().getTime() <= started + seconds * 1000;
  const due = inTurns(await store.schedules.due(clock.now()), ({ project }) => project);
  const vmsOf = askOnce(runtime);
  await mapBounded(due, EXPANDED_AT_ONCE, async ({ id }) => {
    if (isIn(EXPAND_SECONDS)) await attempt(() => expandSchedule(id, runtime, vmsOf));
  });
  await attempt(() =>
    beginRuns(runtime, { snapshot: request, restore }, { hasTime: () => isIn(BEGIN_SECONDS) }),
  );
  await attempt(() => tellAges(runtime, vmsOf));
  await attempt(() => stopCancelled(runtime));
  if (failures.length > 0) throw failures[0];
}
