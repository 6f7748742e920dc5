import { XensnapError } from '../errors.ts';
import { orAsItWas } from '../job.ts';
import { destroyMadeVm } from '../pool/destroy-made.ts';
import { vmsMadeBy } from '../pool/restored-vm.ts';
import { forgetTask } from '../pool/tasks.ts';
import { type DepsOf, mayArrive, step } from '../step.ts';

/** Destroys the VM that the job has made, and nothing that does not carry its tag. Pays `vm` once none is to be found. */
export async function destroyVm(deps: DepsOf<'DestroyVm'>): Promise<void> {
  const { xapi, store, config } = deps;
  const job = orAsItWas(await store.jobs.get(deps.job.id), deps.job);
  if (!job.debts?.has('vm')) return;
  const found = await vmsMadeBy(xapi, job, config.installation);
  for (const { record } of found) await destroyMadeVm(xapi, job, record.uuid);
  if (job.bootTask !== undefined) await forgetTask(deps, job.bootTask);
  if (found.length === 0 && job.restoredVmUuid === undefined && mayArrive(deps, job.vmSentAt))
    throw new XensnapError('StillOwed', 'The call that makes the VM got no answer; it may still make one.');
  await store.jobs.pay(job.id, 'vm');
}

export const handler = step('DestroyVm', { needs: [] }, async (_state, deps) => {
  await destroyVm(deps);
  return undefined;
});
