import type { Session } from '../../xapi/session.ts';
import { entriesOf, type Ref, type VdiRecord } from '../../xapi/types.ts';
import { isSnapshot, type SnapshotJob } from '../job.ts';
import { attachmentsOf } from '../pool/control-domain.ts';
import { destroyUntilGone } from '../pool/destroy.ts';
import { isExported } from '../pool/host-away.ts';
import { mayBeKept } from '../pool/kept.ts';
import { keysIn, tagsIn } from '../pool/tags.ts';
import type { Finding } from './finding.ts';
import { sweepRestored } from './restored.ts';
import { each, type Found, isOld, type Round } from './round.ts';

/** How far back, and how many at most, jobs are gone through for the disks that they had on record. */
const DAYS = 7;
const MOST_JOBS = 1000;

interface Disk {
  readonly ref: Ref<'VDI'>;
  readonly vdi: VdiRecord;
}

/** Finds the closed job that has a disk on record. */
type JobOfDisk = (uuid: string) => Promise<SnapshotJob | undefined>;

/** Disks that jobs left without a snapshot that holds them, and tags on disks of no tagged VM. */
export async function sweepDisks(round: Round, findings: Finding[]): Promise<void> {
  const { pool, xapi } = round;
  const jobOfDisk = recordedDisks(round);
  // Base copies are the coalescer's.
  for (const [ref, vdi] of entriesOf(
    await xapi.call('VDI.get_all_records_where', 'field "managed" = "true"'),
  )) {
    const kind = vdi.is_a_snapshot ? 'snapshot' : 'tag';
    await each(round, { kind, id: vdi.uuid }, findings, async () => {
      const disk = { ref, vdi };
      const found = await (vdi.is_a_snapshot
        ? sweepSnapshotDisk(round, disk, jobOfDisk)
        : sweepOtherDisk(round, disk, jobOfDisk));
      if (found) findings.push({ kind, pool, id: vdi.uuid, ...found });
    });
  }
}

/**
 * A snapshot's disk whose template is gone, or which only a control domain still has attached. One that is on its job's
 * record goes; one that has only the tag may be an operator's, made while the disk was tagged.
 */
async function sweepSnapshotDisk(
  { xapi, runtime, dryRun }: Round,
  { ref, vdi }: Disk,
  jobOfDisk: JobOfDisk,
): Promise<Found> {
  const tags = tagsIn(vdi.other_config);
  const tag = tags.find(({ installation }) => installation === runtime.config.installation);
  // A snapshot with the tags of two may be the other's, which is about to destroy it.
  if (tags.length > 0 && (!tag || (tags.length > 1 && !isOld(vdi.snapshot_time, runtime)))) return undefined;
  // What is not tagged is looked into only where nothing has it: a look costs calls.
  if (!tag && vdi.VBDs.length > 0) return undefined;
  const owner = tag && (await runtime.store.jobs.get(tag.jobId));
  // A restore's disk that an operator has snapshotted while it was tagged.
  if (owner?.open !== undefined) return undefined;
  const job = tag ? owner && (isSnapshot(owner) ? owner : undefined) : await jobOfDisk(vdi.uuid);
  if (!tag && !job) return undefined;
  const attached = await onlyInControlDomains(xapi, { ref, vdi });
  if (attached === undefined) return undefined;
  const known = job?.snapshotDisks?.includes(vdi.uuid) === true;
  if (known && !dryRun) await destroyUntilGone(xapi, undefined, [vdi.uuid], { exported: isExported(job) });
  const whose = tag ? `carries the tag of job ${tag.jobId}` : `is on the record of job ${job?.id}`;
  return {
    what: `disk "${vdi.name_label}" belongs to no VM or snapshot${attached} and ${whose} (closed)`,
    action: known ? (dryRun ? 'would' : 'removed') : 'left',
  };
}

/** In words where a disk of no VM is attached, if anywhere; undefined where a VM or snapshot has it. */
async function onlyInControlDomains(xapi: Session, { ref, vdi }: Disk): Promise<string | undefined> {
  if (vdi.VBDs.length === 0) return '';
  const { inControlDomains, others } = await attachmentsOf(xapi, ref);
  if (others.length > 0) return undefined;
  return `, is attached in ${inControlDomains.map(({ domain }) => `"${domain}"`).join(', ')}`;
}

/**
 * A disk that is no snapshot: it carries a tag, because it was copied or detached while a job had its VM, or was one of
 * ours, which came back as a plain disk when its SR was forgotten and found again. The tag goes, or each snapshot that is
 * ever made of the disk would carry it; the disk stays.
 */
async function sweepOtherDisk(round: Round, { ref, vdi }: Disk, jobOfDisk: JobOfDisk): Promise<Found> {
  const { xapi, runtime, dryRun } = round;
  const { installation } = runtime.config;
  // Taken out of a VM by a restore: it waits for somebody to decide on it.
  if (mayBeKept(vdi.other_config)) return undefined;
  const closed: string[] = [];
  for (const tag of tagsIn(vdi.other_config)) {
    if (tag.installation !== installation) continue;
    const owner = await runtime.store.jobs.get(tag.jobId);
    if (owner && !isSnapshot(owner)) {
      if (owner.open !== undefined) return undefined;
      const held = vdi.VBDs.length > 0 && (await attachmentsOf(xapi, ref)).others.length > 0;
      return sweepRestored(round, owner, { kind: 'VDI', uuid: vdi.uuid, name: vdi.name_label, held });
    }
    if (owner?.open === undefined) closed.push(tag.jobId);
  }
  if (closed.length > 0) {
    for (const key of closed.flatMap((jobId) => keysIn(vdi.other_config, jobId)))
      if (!dryRun) await xapi.call('VDI.remove_from_other_config', ref, key);
    const what = `disk "${vdi.name_label}" carries the tag of job ${closed.join(', ')}, which is closed`;
    return { what, action: dryRun ? 'would' : 'removed' };
  }
  const job = vdi.VBDs.length === 0 ? await jobOfDisk(vdi.uuid) : undefined;
  return (
    job && {
      what: `disk "${vdi.name_label}" was of the snapshot of job ${job.id}, which is closed, and is no snapshot any more`,
      action: 'left',
    }
  );
}

/** Jobs are gone through once, and only in a pool that has a disk which nothing holds. */
function recordedDisks({ pool, runtime }: Round): JobOfDisk {
  const { store, clock } = runtime;
  const look = async () => {
    const since = new Date(clock.now().getTime() - DAYS * 86_400_000).toISOString();
    const jobs = new Map<string, SnapshotJob>();
    let seen = 0;
    for await (const job of store.jobs.each('all')) {
      if (job.createdAt < since || seen++ === MOST_JOBS) break;
      if (job.pool !== pool || job.open !== undefined) continue;
      for (const uuid of job.snapshotDisks ?? []) jobs.set(uuid, job);
    }
    return jobs;
  };
  let looking: Promise<ReadonlyMap<string, SnapshotJob>> | undefined;
  return async (uuid) => {
    looking ??= look();
    return (await looking).get(uuid);
  };
}
