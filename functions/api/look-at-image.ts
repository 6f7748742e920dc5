import { within } from '../bounded.ts';
import { isFinished, orAsItWas, type SnapshotJob } from '../job.ts';
import type { Runtime } from '../runtime/executions.ts';

/** A caller waits no longer for a Glance that does not answer. */
const SECONDS = 3;

/** The job with what Glance now says of its verified image, noted; as it was where Glance says nothing in time. */
export async function lookAtImage(job: SnapshotJob, { glance, store, clock }: Runtime): Promise<SnapshotJob> {
  if (!job.committed || !isFinished(job) || job.request.backup?.keep === 0) return job;
  const asked = glance.getImage(job.id).then(
    (image) => image !== undefined,
    () => undefined,
  );
  const there = await within(SECONDS, asked, undefined);
  if (there === undefined || there === (job.imageGoneAt === undefined)) return job;
  return orAsItWas(await store.jobs.noteImage(job.id, there ? undefined : clock.now().toISOString()), job);
}
