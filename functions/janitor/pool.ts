import { randomUUID } from 'node:crypto';
import { isCode } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import type { Ref, VmRecord } from '../../xapi/types.ts';
import { poolConfig } from '../config.ts';
import { type Job, snapshotLabel } from '../job.ts';
import type { Runtime } from '../runtime/executions.ts';
import { LOCK_KEY } from '../steps/InspectVm.ts';
import type { SlotPlace } from '../store/slots.ts';
import { TAGS, untag } from '../tags.ts';
import { disksOf } from '../template.ts';
import { asJobError } from '../translate.ts';
import type { Finding } from './finding.ts';
import { findLeftovers } from './leftovers.ts';

/** Whether a job of ours is closed: nothing of it may be left anywhere. Unknown jobs count as closed. */
async function isClosed(jobId: string, { store }: Runtime): Promise<boolean> {
  return (await store.jobs.get(jobId))?.open === undefined;
}

/** Looks through one pool for what closed jobs of this installation left there. */
export async function sweepPool(pool: string, runtime: Runtime, dryRun: boolean): Promise<Finding[]> {
  try {
    return await runtime.withSession(pool, async (xapi) => [
      ...(await sweepVms(pool, xapi, runtime, dryRun)),
      ...(await sweepSecrets(pool, xapi, runtime, dryRun)),
      ...(await findLeftovers(pool, xapi, runtime)),
    ]);
  } catch (error) {
    return [{ kind: 'pool', pool, id: pool, what: asJobError(error).message, action: 'failed' }];
  }
}

async function sweepVms(pool: string, xapi: Session, runtime: Runtime, dryRun: boolean): Promise<Finding[]> {
  const findings: Finding[] = [];
  const vms = await xapi.call('VM.get_all_records_where', 'field "is_default_template" = "false"');
  for (const [ref, vm] of Object.entries(vms) as [Ref<'VM'>, VmRecord][]) {
    const jobId = vm.other_config[TAGS.job];
    if (jobId === undefined || !(await isClosed(jobId, runtime))) continue;
    const mine = vm.other_config[TAGS.installation] === runtime.config.installation;
    if (vm.is_a_snapshot) {
      findings.push({
        kind: 'snapshot',
        pool,
        id: vm.uuid,
        what: `snapshot "${vm.name_label}" carries the tag of job ${jobId} ${mine ? '(closed)' : 'of another installation'}`,
        action: await snapshotAction(ref, vm, jobId, mine, xapi, dryRun),
      });
    } else if (mine) {
      findings.push({
        kind: 'tag',
        pool,
        id: vm.uuid,
        what: `"${vm.name_label}" carries the tag of job ${jobId}, which is closed`,
        action: dryRun ? 'would' : await clearTag(pool, ref, xapi, runtime),
      });
    }
  }
  return findings;
}

/**
 * With our label too it is provably ours, such as one whose call arrived after everyone had given up on it. Without,
 * it is an operator's that was made while the VM was tagged, or half-made: a person must say.
 */
async function snapshotAction(
  ref: Ref<'VM'>,
  vm: VmRecord,
  jobId: string,
  mine: boolean,
  xapi: Session,
  dryRun: boolean,
): Promise<Finding['action']> {
  if (!mine || vm.name_label !== snapshotLabel(jobId)) return 'left';
  if (dryRun) return 'would';
  for (const vdiRef of await disksOf(xapi, ref)) await xapi.call('VDI.destroy', vdiRef);
  await xapi.call('VM.destroy', ref);
  return 'removed';
}

/**
 * A reverted snapshot brings its tags back to the VM, unlocked. With the VM's lease, and only with it, the tag goes
 * and the VM is locked.
 */
async function clearTag(
  pool: string,
  vmRef: Ref<'VM'>,
  xapi: Session,
  { store }: Runtime,
): Promise<Finding['action']> {
  const vm = await xapi.call('VM.get_record', vmRef);
  const me = randomUUID();
  if ((await store.leases.takeVm(pool, vm.uuid, me)) !== me) return 'failed';
  try {
    await untag(xapi, vmRef, await disksOf(xapi, vmRef));
    await xapi.call('VM.set_xenstore_data', vmRef, { ...vm.xenstore_data, [LOCK_KEY]: 'false' });
    return 'removed';
  } finally {
    await store.leases.releaseVm(pool, vm.uuid, me);
  }
}

/** Secrets by their tags; their values are never read. */
async function sweepSecrets(
  pool: string,
  xapi: Session,
  runtime: Runtime,
  dryRun: boolean,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const ref of await xapi.call('secret.get_all')) {
    try {
      const tags = await xapi.call('secret.get_other_config', ref);
      const jobId = tags[TAGS.job];
      if (jobId === undefined || tags[TAGS.installation] !== runtime.config.installation) continue;
      if (!(await isClosed(jobId, runtime))) continue;
      const id = await xapi.call('secret.get_uuid', ref);
      if (!dryRun) await xapi.call('secret.destroy', ref);
      findings.push({
        kind: 'secret',
        pool,
        id,
        what: `secret of job ${jobId}, which is closed`,
        action: dryRun ? 'would' : 'removed',
      });
    } catch (error) {
      if (!isCode(error, 'HANDLE_INVALID')) throw error;
    }
  }
  return findings;
}

/** Slots that closed jobs still hold on the pool's hosts. */
export async function sweepSlots(pool: string, runtime: Runtime, dryRun: boolean): Promise<Finding[]> {
  const findings: Finding[] = [];
  const hosts = await runtime
    .withSession(pool, (xapi) => xapi.call('host.get_all_records'))
    .catch(() => ({}));
  const { srSlots } = poolConfig(runtime.config, pool);
  const places: SlotPlace[] = [
    ...Object.values(hosts).map(({ uuid }): SlotPlace => `host#${pool}/${uuid}`),
    ...Object.keys(srSlots).map((uuid): SlotPlace => `sr#${pool}/${uuid}`),
  ];
  for (const place of places) {
    for (const jobId of await runtime.store.slots.holders(place)) {
      const job: Job | undefined = await runtime.store.jobs.get(jobId);
      if (job?.open !== undefined) continue;
      if (!dryRun) await runtime.store.slots.release(place, jobId);
      findings.push({
        kind: 'slot',
        pool,
        id: jobId,
        what: `a closed job holds a slot of ${place}`,
        action: dryRun ? 'would' : 'removed',
      });
    }
  }
  return findings;
}
