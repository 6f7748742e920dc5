import { XensnapError } from '../errors.ts';
import { orAsItWas, type RestoreJob } from '../job.ts';
import { destroyUntilGone } from '../pool/destroy.ts';
import { disksMadeBy } from '../pool/restored-disk.ts';
import { type DepsOf, mayArrive, step } from '../step.ts';
import type { Debt } from '../words.ts';

/**
 * Destroys the disk that the job has made, and nothing that does not carry its tag, once nothing writes to it any more.
 * Pays `disk` once none is to be found.
 */
export async function destroyDisks(deps: DepsOf<'DestroyDisks'>): Promise<void> {
  const { xapi, store, config } = deps;
  const job = orAsItWas(await store.jobs.get(deps.job.id), deps.job);
  if (!job.debts?.has('disk') || !mayDiskGo(job)) return;
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

/** What stands before the disk in line: a host that may still write to it, and a VM that has it. */
const BEFORE = ['plugin', 'swap', 'vm'] as const satisfies readonly Debt[];

/**
 * While one of these is owed the disk stays, and its debt. Why that is so, and whether another try may help, is for the
 * step to say that could not pay it.
 */
function mayDiskGo({ debts }: RestoreJob): boolean {
  return !BEFORE.some((debt) => debts?.has(debt));
}
