import { isSnapshot, type Job } from '../job.ts';
import type { JobStatus } from '../words.ts';
import { type IndexName, TABLE } from './table.ts';

/** A job as it is in the table, where those of before there were restores do not say their machine. */
export type JobItem = { readonly id: string; readonly machine?: Job['machine'] };

const PREFIX = 'job#';
/** By which the index of kinds has a machine's jobs; snapshots were there before there was another. */
const KINDS: Readonly<Record<Job['machine'], string>> = { snapshot: 'job', restore: 'restore' };
const OPEN = 'open';

export function jobKey(jobId: string): string {
  return PREFIX + jobId;
}

export function jobOf(item: JobItem | undefined): Job | undefined {
  return item && ({ machine: 'snapshot', ...item, id: item.id.slice(PREFIX.length) } as Job);
}

/** What the indexes find a VM's jobs by. */
export function vmKeyOf(pool: string, vmUuid: string): string {
  return `${pool}#${vmUuid}`;
}

/** A new job's item, open, and in every index; a restore has no VM yet. */
export function newItem(job: Job): JobItem & Record<string, unknown> {
  const item = { ...job, id: jobKey(job.id), kind: KINDS[job.machine], open: OPEN };
  return isSnapshot(job) ? { ...item, vmKey: vmKeyOf(job.pool, job.vmUuid) } : item;
}

/** Which snapshots: of one VM (by {@link vmKeyOf}), of one status, or all. */
export type SnapshotList = { readonly vmKey: string } | { readonly status: JobStatus } | 'all';
/** Which jobs: some snapshots, all restores, or those of either that are still open. */
export type JobList = SnapshotList | 'restores' | 'open';

/** The index that has the jobs of a list, and the value that they have there. */
export function indexOf(of: JobList): readonly [IndexName, string] {
  if (of === 'all') return ['byKind', KINDS.snapshot];
  if (of === 'restores') return ['byKind', KINDS.restore];
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
