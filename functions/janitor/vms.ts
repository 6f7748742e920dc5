import { randomUUID } from 'node:crypto';
import { entriesOf, type Ref, type VmRecord } from '../../xapi/types.ts';
import { closeLock, forgetOpening, LOCK_KEY, openingsIn } from '../pool/lock.ts';
import { keysIn, tagsIn, untag } from '../pool/tags.ts';
import { disksOf, type Template } from '../pool/template.ts';
import type { Runtime } from '../runtime/executions.ts';
import type { Finding } from './finding.ts';
import { each, type Found, isClosed, type Round } from './round.ts';
import { sweepSnapshot } from './snapshots.ts';

/** VMs and snapshots that carry something of a job. */
export async function sweepVms(round: Round, findings: Finding[]): Promise<void> {
  const vms = await round.xapi.call('VM.get_all_records_where', 'field "is_default_template" = "false"');
  for (const [ref, record] of entriesOf(vms)) {
    const kind = record.is_a_snapshot ? 'snapshot' : 'tag';
    await each(round, { kind, id: record.uuid }, findings, async () => {
      const vm = { ref, record };
      const found = await (kind === 'snapshot' ? sweepSnapshot(round, vm) : sweepVm(round, vm));
      if (found) findings.push({ kind, pool: round.pool, id: record.uuid, ...found });
    });
  }
}

/** A VM that carries something of a job that is closed: a reverted snapshot brings it back, and the open lock too. */
async function sweepVm(round: Round, { ref, record }: Template): Promise<Found> {
  const { runtime, dryRun } = round;
  const marks = [...tagsIn(record.other_config), ...openingsIn(record.other_config)].filter(
    ({ installation }) => installation === runtime.config.installation,
  );
  const closed: string[] = [];
  for (const jobId of new Set(marks.map((mark) => mark.jobId)))
    if (await isClosed(jobId, runtime)) closed.push(jobId);
  if (closed.length === 0) return undefined;
  const action = dryRun ? 'would' : await clearVm(round, { ref, uuid: record.uuid }, closed);
  return (
    action && {
      what: `"${record.name_label}" carries the tag of job ${closed.join(', ')}, which is closed`,
      action,
    }
  );
}

/**
 * With the VM's lease, and only with it, what closed jobs left on a VM goes, and it is locked as they would have
 * locked it. Undefined where another installation's snapshot is under way: the next round sees to it.
 */
async function clearVm(
  { pool, xapi, runtime }: Round,
  vm: { readonly ref: Ref<'VM'>; readonly uuid: string },
  jobIds: readonly string[],
): Promise<Finding['action'] | undefined> {
  const { store, config, clock } = runtime;
  const me = randomUUID();
  // Of a janitor that dies with it nothing else would tell that it is nobody's.
  const { claimSeconds } = config.timings;
  if ((await store.leases.takeVm(pool, vm.uuid, me, clock.now(), claimSeconds)) !== me) return 'failed';
  try {
    const record = await xapi.call('VM.get_record', vm.ref);
    const wanted = await lockAfter(record, jobIds, runtime);
    const { installation } = config;
    const closed = await closeLock(xapi, { ref: vm.ref, record }, wanted, { installation, now: clock.now() });
    if (closed !== 'closed') return closed === 'others' ? undefined : 'failed';
    const disks = await disksOf(xapi, vm.ref);
    for (const jobId of jobIds) {
      await untag(xapi, vm, disks, jobId, keysIn(record.other_config, jobId));
      await forgetOpening(xapi, vm.ref, jobId);
    }
    return 'removed';
  } finally {
    await store.leases.releaseVm(pool, vm.uuid, me);
  }
}

/** The value of the lock's key; null: no key. Where nobody knows any more what it was, it stays as it is. */
async function lockAfter(
  { other_config, xenstore_data }: VmRecord,
  jobIds: readonly string[],
  { store, config }: Runtime,
): Promise<string | null> {
  if (config.relock === 'lock') return 'false';
  for (const { jobId, before } of openingsIn(other_config)) if (jobIds.includes(jobId)) return before;
  for (const jobId of jobIds) {
    const before = (await store.jobs.get(jobId))?.lockBefore;
    if (before !== undefined) return before;
  }
  return xenstore_data[LOCK_KEY] ?? null;
}
