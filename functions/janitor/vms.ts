import { randomUUID } from 'node:crypto';
import { entriesOf, type Ref } from '../../xapi/types.ts';
import { isSnapshot } from '../job.ts';
import { GONE, unlessGone } from '../pool/gone.ts';
import { closeLock, forgetOpening, openingsIn } from '../pool/lock.ts';
import { jobsThatBlock, unblockStart } from '../pool/start-block.ts';
import { keysIn, tagsIn, untag } from '../pool/tags.ts';
import { disksOf, type Template } from '../pool/template.ts';
import type { Finding } from './finding.ts';
import { sweepRestored } from './restored.ts';
import { each, type Found, type Round } from './round.ts';
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
  const { runtime, xapi, dryRun } = round;
  const marks = [...tagsIn(record.other_config), ...openingsIn(record.other_config)].filter(
    ({ installation }) => installation === runtime.config.installation,
  );
  const closed: string[] = [];
  for (const jobId of new Set(marks.map((mark) => mark.jobId))) {
    const job = await runtime.store.jobs.get(jobId);
    if (job && !isSnapshot(job))
      return sweepRestored(round, job, {
        kind: 'VM',
        uuid: record.uuid,
        name: record.name_label,
        held: false,
      });
    if (job?.open === undefined) closed.push(jobId);
  }
  if (closed.length === 0) return sweepBlock(round, { ref, record });
  const what = `"${record.name_label}" carries the tag of job ${closed.join(', ')}, which is closed`;
  if (dryRun) return { what, action: 'would' };
  const problem = await unlessGone(xapi, { class: 'VM', ref, uuid: record.uuid }, (found) =>
    clearVm(round, { ref: found, uuid: record.uuid }, closed),
  );
  if (problem === GONE || problem === 'others') return undefined;
  return problem === undefined
    ? { what, action: 'removed' }
    : { what: `${what}; ${problem}`, action: 'failed' };
}

/** A VM that a closed restore keeps from starting: its call was on its way when everybody had given up on it. */
async function sweepBlock({ runtime, xapi, dryRun }: Round, { ref, record }: Template): Promise<Found> {
  for (const jobId of jobsThatBlock(record.blocked_operations)) {
    const job = await runtime.store.jobs.restore(jobId);
    // One that is unknown here may be another installation's.
    if (!job || job.open !== undefined) continue;
    if (!dryRun) await unblockStart(xapi, ref, jobId);
    const what = `"${record.name_label}" is kept from starting by the restore ${jobId}, which is closed`;
    return { what, action: dryRun ? 'would' : 'removed' };
  }
  return undefined;
}

/**
 * With the VM's lease, and only with it, what closed jobs left on a VM goes, and it is locked as they would have
 * locked it. Answers what stands in the way of that; `others` where it is another installation's snapshot that is
 * under way: the next round sees to it.
 */
async function clearVm(
  { pool, xapi, runtime }: Round,
  vm: { readonly ref: Ref<'VM'>; readonly uuid: string },
  jobIds: readonly string[],
): Promise<string | undefined> {
  const { store, config, clock } = runtime;
  const me = randomUUID();
  // If the janitor dies while it holds the lease, nothing else tells that nobody has it: so it expires.
  const { claimSeconds } = config.timings;
  const holder = await store.leases.takeVm(pool, vm.uuid, me, clock.now(), claimSeconds);
  if (holder !== me) return `${holder} has the VM now`;
  try {
    const jobs = await Promise.all(jobIds.map(async (id) => (await store.jobs.snapshot(id)) ?? { id }));
    const record = await xapi.call('VM.get_record', vm.ref);
    const closed = await closeLock(xapi, { ref: vm.ref, record }, jobs, { config, now: clock.now() });
    if (closed === 'others') return closed;
    if (closed === 'paused') return 'it is paused, and is locked once it runs or is halted';
    const disks = await disksOf(xapi, vm.ref);
    for (const jobId of jobIds) {
      await untag(xapi, vm, disks, jobId, keysIn(record.other_config, jobId));
      await forgetOpening(xapi, vm.ref, jobId);
    }
    return undefined;
  } finally {
    await store.leases.releaseVm(pool, vm.uuid, me);
  }
}
