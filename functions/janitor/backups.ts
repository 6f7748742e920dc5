import type { BaseRuntime } from '../runtime/base.ts';
import { vmKey } from '../schedules/coverage.ts';
import { type LookBound, lookAtBackups } from '../schedules/look.ts';
import type { KnownVm, VerifiedBackup } from '../store/backups.ts';
import { asJobError } from '../translate.ts';
import type { Finding } from './finding.ts';

/** The share of the janitor's 900 s for Glance's list; images that are asked for one by one get as much again. */
const LOOK: LookBound = { seconds: 120, singly: 2000 };

/**
 * Looks whether the backups that count are still in Glance. A round that does not come to the end of the VMs keeps its
 * place, and the next one goes on there. What is gone is told once, by the round that finds it.
 */
export async function lookForBackups(
  runtime: BaseRuntime,
  dryRun: boolean,
  bound: LookBound = LOOK,
): Promise<Finding[]> {
  try {
    return await lookAtRest(runtime, dryRun, bound);
  } catch (error) {
    const { message } = asJobError(error);
    return [{ kind: 'image', id: 'backups', what: `no look for backups: ${message}`, action: 'failed' }];
  }
}

async function lookAtRest(runtime: BaseRuntime, dryRun: boolean, bound: LookBound): Promise<Finding[]> {
  const { store, clock } = runtime;
  const now = clock.now().toISOString();
  const { lookedAt, beganAt = now, place } = await store.backups.look();
  const known: KnownVm[] = await Array.fromAsync(store.backups.all());
  const rest = known.slice(known.findIndex((vm) => vmKey(vm) === place) + 1);
  const { vms } = await lookAtBackups(rest, runtime, bound, { dryRun });
  const first = vms.findIndex(({ looked }) => !looked);
  const before = vms[first - 1];
  if (!dryRun)
    await store.backups.noteLook(
      first === -1 ? { lookedAt: beganAt } : { lookedAt, beganAt, place: before ? vmKey(before) : place },
    );
  return vms.flatMap((vm) => vm.newlyLost.map((backup) => lost(vm, backup)));
}

function lost({ pool, uuid }: KnownVm, { imageId, verifiedAt, lost }: VerifiedBackup): Finding {
  const what = `backup of the VM ${uuid}, verified on ${verifiedAt}, ${lost?.what}`;
  return { kind: 'image', pool, id: imageId, what, action: 'left' };
}
