import type { Config } from '../config.ts';
import { type SnapshotJob, wasRefused } from '../job.ts';
import { pageAfter, type SnapshotList, vmKeyOf } from '../store/job-item.ts';
import type { Store } from '../store.ts';
import type { JobStatus } from '../words.ts';
import type { Position } from './marker.ts';

/** Which jobs to list. `vm` is a UUID, or the name that the VM had when the job began. */
export interface JobFilter {
  readonly vm?: string | undefined;
  readonly pool?: string | undefined;
  readonly status?: JobStatus | undefined;
  /** The project whose jobs they are. */
  readonly project?: string | undefined;
}

/** Jobs that one answer looks at, at most; a filter that fits few of them gives a short page and a `next`. */
const MOST_SCANNED = 1000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** A page of jobs, newest first, and where it ended; null at the end. */
export async function listJobs(
  store: Store,
  config: Config,
  filter: JobFilter,
  { limit, after }: { limit: number; after?: Position },
): Promise<{ jobs: SnapshotJob[]; next: Position | null }> {
  const read = reader(store, config, filter);
  const jobs: SnapshotJob[] = [];
  let position = after;
  for (let scanned = 0; scanned < MOST_SCANNED; ) {
    const page = await read(position);
    for (const [index, job] of page.items.entries()) {
      position = job;
      scanned += 1;
      if (fits(job, filter)) jobs.push(job);
      const atEnd = index === page.items.length - 1 && !page.more;
      if (jobs.length === limit) return { jobs, next: atEnd ? null : job };
    }
    if (!page.more) return { jobs, next: null };
  }
  return { jobs, next: position ?? null };
}

function fits(job: SnapshotJob, { vm, pool, status, project }: JobFilter): boolean {
  if (wasRefused(job)) return false;
  return (
    (vm === undefined || job.vmUuid === vm.toLowerCase() || job.vmName === vm) &&
    (pool === undefined || job.pool === pool) &&
    (project === undefined || job.project === project) &&
    (status === undefined || job.status === status)
  );
}

type Reader = (after: Position | undefined) => Promise<{ items: readonly SnapshotJob[]; more: boolean }>;

/** Reads from the narrowest index: a VM's in each pool that may have it, else a status's, else all. */
function reader(store: Store, config: Config, { vm, pool, status }: JobFilter): Reader {
  if (vm !== undefined && UUID.test(vm)) {
    const pools = pool === undefined ? config.pools.map(({ name }) => name) : [pool];
    return merged(pools.map((name) => from(store, { vmKey: vmKeyOf(name, vm.toLowerCase()) })));
  }
  return from(store, status === undefined ? 'all' : { status });
}

const PAGE = 100;

function from(store: Store, of: SnapshotList): Reader {
  return async (after) => {
    const page = await store.jobs.list(of, { limit: PAGE, ...(after && { after: pageAfter(of, after) }) });
    return { items: page.items, more: page.next !== undefined };
  };
}

/** The newest of several readers; what does not fit into the page is read again for the next. */
function merged(readers: readonly Reader[]): Reader {
  return async (after) => {
    const pages = await Promise.all(readers.map((read) => read(after)));
    const items = pages.flatMap((page) => page.items).sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
    return {
      items: items.slice(0, PAGE),
      more: items.length > PAGE || pages.some((page) => page.more),
    };
  };
}
