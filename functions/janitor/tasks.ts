import { entriesOf } from '../../xapi/types.ts';
import { tagsIn } from '../pool/tags.ts';
import { forgetTask, jobOfTransfer } from '../pool/tasks.ts';
import type { Runtime } from '../runtime/executions.ts';
import type { Finding } from './finding.ts';
import { each, isClosed, type Round } from './round.ts';

/**
 * The records of tasks that have ended and carry the tag of a closed job, or of which the plugin's answer says that they
 * were one's. xapi's own collector takes those that were destroyed while they were pending.
 */
export async function sweepTasks(round: Round, findings: Finding[]): Promise<void> {
  const { pool, xapi, runtime, dryRun } = round;
  const { installation } = runtime.config;
  for (const [ref, task] of entriesOf(await xapi.call('task.get_all_records_where', 'true')))
    await each(round, { kind: 'task', id: task.uuid }, findings, async () => {
      const tag = tagsIn(task.other_config).find((found) => found.installation === installation);
      const jobId = tag?.jobId ?? (await knownJob(jobOfTransfer(task), runtime));
      const isOver = task.status !== 'pending' && !Object.values(task.current_operations).includes('destroy');
      if (jobId === undefined || !isOver || !(await isClosed(jobId, runtime))) return;
      const what = `record of the task ${task.name_label} of job ${jobId}, which is closed`;
      const done = dryRun
        ? 'would'
        : (await forgetTask({ xapi, log: runtime.log }, ref))
          ? 'removed'
          : 'failed';
      findings.push({ kind: 'task', pool, id: task.uuid, what, action: done });
    });
}

/** What says no more than a job's id may be another installation's: ours has a record of it. */
async function knownJob(jobId: string | undefined, { store }: Runtime): Promise<string | undefined> {
  return jobId !== undefined && (await store.jobs.get(jobId)) ? jobId : undefined;
}
