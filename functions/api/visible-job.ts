import { z } from '@hono/zod-openapi';
import { shorten } from '../../glance/shorten.ts';
import { XensnapError } from '../errors.ts';
import type { SnapshotJob } from '../job.ts';
import type { Store } from '../store.ts';
import { type Caller, confinedTo } from './caller.ts';

/** The snapshot's job of that id, if there is one and the caller may see it. */
export async function visibleJob(id: string, caller: Caller, store: Store): Promise<SnapshotJob | undefined> {
  // Only UUIDs are asked for: the table refuses keys of more than 2,048 bytes.
  const job = z.uuid().safeParse(id).success ? await store.jobs.snapshot(id) : undefined;
  const confines = confinedTo(caller);
  return job && (!confines || job.project === confines.id) ? job : undefined;
}

/** The parameter of every path that names a job. */
export const JobId = z.object({ id: z.string().openapi({ format: 'uuid' }) });

/** The snapshot's job of that id. Throws JobNotFound where there is none that the caller may see. */
export async function seenJob(id: string, caller: Caller, store: Store): Promise<SnapshotJob> {
  const job = await visibleJob(id, caller, store);
  if (job) return job;
  throw new XensnapError('JobNotFound', `There is no job ${shorten(id, 60)}.`);
}
