import { XensnapError } from '../errors.ts';
import { orAsItWas, type RestoreJob } from '../job.ts';
import { destroyUntilGone } from '../pool/destroy.ts';
import { isHostGivenUp } from '../pool/host-away.ts';
import { disksMadeBy } from '../pool/restored-disk.ts';
import { type DepsOf, mayArrive, step } from '../step.ts';

/**
 * Destroys the disk that the job has made, and nothing that does not carry its tag, once nothing writes to it any more.
 * Pays `disk` once none is to be found.
 */
export async function destroyDisks(deps: DepsOf<'DestroyDisks'>): Promise<void> {
  const { xapi, store, config } = deps;
  const job = orAsItWas(await store.jobs.get(deps.job.id), deps.job);
  if (!job.debts?.has('disk') || !mayDiskGo(job, deps)) return;
  const found = await disksMadeBy(xapi, job, config.installation);
  await destroyUntilGone(
    xapi,
    undefined,
    found.map(({ uuid }) => uuid),
    { exported: true, whole: true },
  );
  if (found.length === 0 && job.diskUuid === undefined && mayArrive(deps, job.diskSentAt))
    throw new XensnapError('StillOwed', 'The call that makes the disk got no answer; it may still make one.');
  await store.jobs.pay(job.id, 'disk');
}

export const handler = step('DestroyDisks', { needs: [] }, async (_state, deps) => {
  await destroyDisks(deps);
  return undefined;
});

/**
 * A host that may still write to it keeps it: of one that is away, its return or its ejection ends that, and nothing
 * waits for it.
 * @throws StillOwed while the host may yet answer, and while the VM is there that has it
 */
function mayDiskGo(job: RestoreJob, deps: DepsOf<'DestroyDisks'>): boolean {
  if (job.debts?.has('swap'))
    throw new XensnapError('StillOwed', 'The VM has not got its own disk back yet: the new one stays.');
  if (job.debts?.has('vm')) throw new XensnapError('StillOwed', 'The VM is still there: its disk stays.');
  if (!job.debts?.has('plugin')) return true;
  if (isHostGivenUp(job, deps)) return false;
  throw new XensnapError('StillOwed', 'The download has not stopped yet: its disk stays.');
}
