import { type StepDeps, step } from '../step.ts';

/**
 * Deletes the image of a job that is not committed; that decision and the commit exclude each other. An upload that
 * still goes on somewhere gets 410 from then on. Pays `image`.
 */
export async function discardImage({ job, store, glance }: StepDeps): Promise<void> {
  if (!(await store.jobs.discard(job.id))) return;
  if (!(await store.jobs.get(job.id))?.debts?.has('image')) return;
  try {
    await glance.deleteImage(job.id);
  } catch (error) {
    if (!(error instanceof Error && error.name === 'GlanceForbidden')) throw error;
    // The VM does not wait for it; the janitor tries again in each of its rounds.
    const warning = `The unfinished image ${job.id} was not deleted: it is protected, or Glance forbids it.`;
    await store.jobs.warn(job.id, warning, warning);
  }
  await store.jobs.pay(job.id, 'image');
}

export const handler = step('DiscardImage', { needs: [] }, async (_state, deps) => {
  await discardImage(deps);
  return undefined;
});
