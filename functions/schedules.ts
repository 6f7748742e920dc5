import { stopCancelled } from './cancel.ts';
import { requestSnapshot } from './request.ts';
import { requestRestore } from './restore-request.ts';
import { lambdaRuntime, type Runtime } from './runtime/executions.ts';
import { tellAges } from './schedules/ages.ts';
import { beginRuns } from './schedules/begin.ts';
import { expandSchedule } from './schedules/expand.ts';

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
  for (const { id } of await runtime.store.schedules.due(runtime.clock.now()))
    await attempt(() => expandSchedule(id, runtime));
  await attempt(() => beginRuns(runtime, { snapshot: request, restore }));
  await attempt(() => tellAges(runtime));
  await attempt(() => stopCancelled(runtime));
  if (failures.length > 0) throw failures[0];
}
