import type { Job } from '../job.ts';
import type { JobStatus } from '../words.ts';
import { type IndexName, TABLE } from './table.ts';

/** A job as it is in the table. */
export type JobItem = Omit<Job, 'id'> & { id: string };

const PREFIX = 'job#';
const KIND = 'job';
const OPEN = 'open';

export function jobKey(jobId: string): string {
  return PREFIX + jobId;
}

export function jobOf(item: JobItem | undefined): Job | undefined {
  return item && { ...item, id: item.id.slice(PREFIX.length) };
}

/** What the indexes find a VM's jobs by. */
export function vmKeyOf(pool: string, vmUuid: string): string {
  return `${pool}#${vmUuid}`;
}

/** A new job's item, open, and in every index. */
export function newItem(job: Job): JobItem & Record<string, unknown> {
  return { ...job, id: jobKey(job.id), kind: KIND, open: OPEN, vmKey: vmKeyOf(job.pool, job.vmUuid) };
}

/** Which jobs: of one VM (by {@link vmKeyOf}), of one status, all, or those that are still open. */
export type JobList = { readonly vmKey: string } | { readonly status: JobStatus } | 'all' | 'open';

/** The index that has the jobs of a list, and the value that they have there. */
export function indexOf(of: JobList): readonly [IndexName, string] {
  if (of === 'all') return ['byKind', KIND];
  if (of === 'open') return ['byOpen', OPEN];
  return 'vmKey' in of ? ['byVm', of.vmKey] : ['byStatus', of.status];
}

/** Where a page begins that follows this job in a list. */
export function pageAfter(
  of: JobList,
  { id, createdAt }: Pick<Job, 'id' | 'createdAt'>,
): Record<string, unknown> {
  const [index, value] = indexOf(of);
  return { id: jobKey(id), createdAt, [TABLE.indexes[index]]: value };
}
