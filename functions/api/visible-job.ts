import { z } from '@hono/zod-openapi';
import { shorten } from '../../glance/shorten.ts';
import type { MachineName } from '../../statemachine/contract.ts';
import { XensnapError } from '../errors.ts';
import type { JobOf } from '../job.ts';
import type { Store } from '../store.ts';
import { isUuid } from '../uuid.ts';
import { type Caller, confinedTo } from './caller.ts';

/** The machine's job of that id, if there is one and the caller may see it. */
export async function visibleJob<M extends MachineName>(
  machine: M,
  id: string,
  caller: Caller,
  store: Store,
): Promise<JobOf<M> | undefined> {
  // Only UUIDs are asked for: the table refuses keys of more than 2,048 bytes.
  const job = isUuid(id) ? await store.jobs.get(id) : undefined;
  if (job?.machine !== machine) return undefined;
  const confines = confinedTo(caller);
  return !confines || job.project === confines.id ? (job as JobOf<M>) : undefined;
}

/** The parameter of every path that names a job. */
export const JobId = z.object({ id: z.string().openapi({ format: 'uuid' }) });

/** The machine's job of that id. @throws JobNotFound where there is none that the caller may see */
export async function seenJob<M extends MachineName>(
  machine: M,
  id: string,
  caller: Caller,
  store: Store,
): Promise<JobOf<M>> {
  const job = await visibleJob(machine, id, caller, store);
  if (job) return job;
  throw new XensnapError('JobNotFound', `There is no job ${shorten(id, 60)}.`);
}
