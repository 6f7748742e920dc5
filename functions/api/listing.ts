import type { Config } from '../config.ts';
import { type Job, type RestoreJob, type SnapshotJob, wasRefused } from '../job.ts';
import { type JobList, pageAfter, type SnapshotList, vmKeyOf } from '../store/job-item.ts';
import type { Page, PageOptions } from '../store/table.ts';
import type { Store } from '../store.ts';
import { isUuid } from '../uuid.ts';
import type { JobStatus } from '../words.ts';
import type { Position } from './marker.ts';

/** Which jobs to list. */
interface JobFilter {
  readonly pool?: string | undefined;
  readonly status?: JobStatus | undefined;
  /** The project whose jobs they are. */
  readonly project?: string | undefined;
}

/** `vm` is a UUID, or the name that the VM had when the job began. */
export interface SnapshotFilter extends JobFilter {
  readonly vm?: string | undefined;
}

/** `image` is the id of the image that is restored. */
export interface RestoreFilter extends JobFilter {
  readonly image?: string | undefined;
}

/** Which page: at most so many, after that job. */
interface Wanted {
  readonly limit: number;
  readonly after?: Position;
}

/** A page of jobs, and where it ended; null at the end. */
export interface Listed<J> {
  readonly jobs: J[];
  readonly next: Position | null;
}

/** Jobs that one answer looks at, at most; a filter that fits few of them gives a short page and a `next`. */
const MOST_SCANNED = 1000;

/** A page of snapshots' jobs, newest first. */
export function listSnapshots(
  store: Store,
  config: Config,
  filter: SnapshotFilter,
  wanted: Wanted,
): Promise<Listed<SnapshotJob>> {
  const { vm } = filter;
  const ofVm = (job: SnapshotJob) => vm === undefined || job.vmUuid === vm.toLowerCase() || job.vmName === vm;
  return pageOf(
    snapshotReader(store, config, filter),
    (job) => fits(job, filter) && !wasRefused(job) && ofVm(job),
    wanted,
  );
}

/**
 * A page of restores, newest first. They are read from the index that has nothing else: that of a status would be full
 * of snapshots.
 */
export function listRestores(
  store: Store,
  filter: RestoreFilter,
  wanted: Wanted,
): Promise<Listed<RestoreJob>> {
  const read = from('restores', (options) => store.jobs.listRestores(options));
  const ofImage = ({ request }: RestoreJob) =>
    filter.image === undefined || request.image === filter.image.toLowerCase();
  return pageOf(read, (job) => fits(job, filter) && !wasRefused(job) && ofImage(job), wanted);
}

function fits(job: Job, { pool, status, project }: JobFilter): boolean {
  return (
    (pool === undefined || job.pool === pool) &&
    (project === undefined || job.project === project) &&
    (status === undefined || job.status === status)
  );
}

type Reader<J> = (after: Position | undefined) => Promise<{ items: readonly J[]; more: boolean }>;

async function pageOf<J extends Job>(
  read: Reader<J>,
  wants: (job: J) => boolean,
  { limit, after }: Wanted,
): Promise<Listed<J>> {
  const jobs: J[] = [];
  let position = after;
  for (let scanned = 0; scanned < MOST_SCANNED; ) {
    const page = await read(position);
    for (const [index, job] of page.items.entries()) {
      position = job;
      scanned += 1;
      if (wants(job)) jobs.push(job);
      const atEnd = index === page.items.length - 1 && !page.more;
      if (jobs.length === limit) return { jobs, next: atEnd ? null : job };
    }
    if (!page.more) return { jobs, next: null };
  }
  return { jobs, next: position ?? null };
}

/** Reads from the narrowest index: a VM's in each pool that may have it, else a status's, else all. */
function snapshotReader(
  store: Store,
  config: Config,
  { vm, pool, status }: SnapshotFilter,
): Reader<SnapshotJob> {
  const reader = (of: SnapshotList) => from(of, (options) => store.jobs.list(of, options));
  if (vm !== undefined && isUuid(vm)) {
    const pools = pool === undefined ? config.pools.map(({ name }) => name) : [pool];
    return merged(pools.map((name) => reader({ vmKey: vmKeyOf(name, vm.toLowerCase()) })));
  }
  return reader(status === undefined ? 'all' : { status });
}

const PAGE = 100;

function from<J extends Job>(of: JobList, list: (options: PageOptions) => Promise<Page<J>>): Reader<J> {
  return async (after) => {
    const page = await list({ limit: PAGE, ...(after && { after: pageAfter(of, after) }) });
    return { items: page.items, more: page.next !== undefined };
  };
}

/** The newest of several readers; what does not fit into the page is read again for the next. */
function merged<J extends Job>(readers: readonly Reader<J>[]): Reader<J> {
  return async (after) => {
    const pages = await Promise.all(readers.map((read) => read(after)));
    const items = pages.flatMap((page) => page.items).sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
    return {
      items: items.slice(0, PAGE),
      more: items.length > PAGE || pages.some((page) => page.more),
    };
  };
}
