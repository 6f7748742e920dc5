import { mapBounded } from '../bounded.ts';
import type { ExecutionOf } from '../executions.ts';
import type { Runtime } from '../runtime/executions.ts';
import { asJobError } from '../translate.ts';
import type { Finding } from './finding.ts';

/** Executions that are listed in one round, the newest first: more than an installation may have jobs at a time. */
const MOST = 60_000;
/** Records that are read at a time. */
const AT_ONCE = 16;

/** The executions that run; those that an end of the list was not come to for are named in the log. */
export async function listRunning({ executions, log }: Runtime): Promise<readonly ExecutionOf[]> {
  const running: ExecutionOf[] = [];
  for await (const execution of executions.running()) {
    if (running.length === MOST) {
      log.warn('more executions run than are looked at', { lookedAt: MOST });
      break;
    }
    running.push(execution);
  }
  return running;
}

/**
 * Executions that run without a job: a record is made before its execution, so that one which is not there never was, or
 * is gone. They are stopped; what they may have made is tagged, and found by the other looks.
 * @param running those that were not among the open jobs
 */
export async function sweepExecutions(
  running: readonly ExecutionOf[],
  { executions, store }: Runtime,
  dryRun: boolean,
): Promise<Finding[]> {
  const found = await mapBounded(running, AT_ONCE, async (execution): Promise<Finding[]> => {
    const finding = {
      kind: 'execution',
      id: execution.id,
      what: 'it runs, and there is no job of its name',
    } as const;
    try {
      if (await store.jobs.get(execution.id)) return [];
      if (!dryRun) await executions.stop(execution, 'There is no job of this name.');
      return [{ ...finding, action: dryRun ? 'would' : 'removed' }];
    } catch (error) {
      return [{ ...finding, what: asJobError(error).message, action: 'failed' }];
    }
  });
  return found.flat();
}
