import type { Session } from '../../xapi/session.ts';
import { NULL_REF, type Ref, type VmRecord } from '../../xapi/types.ts';
import { type SnapshotJob, snapshotLabel } from '../job.ts';
import { positionOf } from './disk.ts';
import { byUuid, GONE, unlessUnknown } from './gone.ts';
import { tagsIn } from './tags.ts';

/** A snapshot template with its record. */
export interface Template {
  readonly ref: Ref<'VM'>;
  readonly record: VmRecord;
}

/**
 * The job's snapshot template, if there is one: by the reference on record, else by its UUID and by its label. Only
 * one that is provably ours counts.
 */
export async function findTemplate(
  xapi: Session,
  job: SnapshotJob,
  installation: string,
): Promise<Template | undefined> {
  const known = job.templateRef && (await templateAt(xapi, job.templateRef, job, installation));
  return known ?? (await lookForTemplate(xapi, job, installation));
}

/** Looks for the template without trusting the reference on record, as is needed before it counts as gone. */
export async function lookForTemplate(
  xapi: Session,
  job: SnapshotJob,
  installation: string,
): Promise<Template | undefined> {
  const onRecord = job.templateUuid && (await byUuid(xapi, 'VM', job.templateUuid));
  const labelled = await xapi.call('VM.get_by_name_label', snapshotLabel(job.id));
  for (const ref of new Set([...(onRecord ? [onRecord] : []), ...labelled])) {
    const found = await templateAt(xapi, ref, job, installation);
    if (found) return found;
  }
  return undefined;
}

async function templateAt(
  xapi: Session,
  ref: Ref<'VM'>,
  job: SnapshotJob,
  installation: string,
): Promise<Template | undefined> {
  const record = await unlessUnknown('VM', ref, () => xapi.call('VM.get_record', ref));
  if (record === GONE || !(await isTemplateFound(xapi, record, job, installation))) return undefined;
  return { ref, record };
}

/**
 * The same as {@link isTemplateOf}, where a snapshot of another VM's reference is at hand: that of the job's VM is looked
 * up by its UUID, for a pool that was restored may have others than are on record.
 */
export async function isTemplateFound(
  xapi: Session,
  vm: VmRecord,
  job: Pick<SnapshotJob, 'id' | 'vmRef' | 'templateUuid' | 'snapshotSentAt'> & { readonly vmUuid?: string },
  installation: string,
): Promise<boolean> {
  if (isTemplateOf(vm, job, installation)) return true;
  if (job.vmRef === undefined || job.vmUuid === undefined || vm.snapshot_of === job.vmRef) return false;
  if (!isTemplateOf(vm, { ...job, vmRef: vm.snapshot_of }, installation)) return false;
  return (await byUuid(xapi, 'VM', job.vmUuid)) === vm.snapshot_of;
}

/**
 * Whether a VM is provably a job's template: a snapshot of that VM, with our label, which holds the job's random id
 * (or with the UUID that is on the job's record). Beside the label there is the job's tag with our installation's
 * name; or, where another installation took the tag away, our own record that the job has sent its snapshot call. A tag
 * of this job that names another installation contradicts both.
 */
export function isTemplateOf(
  vm: VmRecord,
  job: Pick<SnapshotJob, 'id' | 'vmRef' | 'templateUuid' | 'snapshotSentAt'>,
  installation: string,
): boolean {
  if (!vm.is_a_snapshot || (job.vmRef !== undefined && vm.snapshot_of !== job.vmRef)) return false;
  if (vm.name_label !== snapshotLabel(job.id) && vm.uuid !== job.templateUuid) return false;
  const tags = tagsIn(vm.other_config).filter(({ jobId }) => jobId === job.id);
  if (tags.length === 0) return job.snapshotSentAt !== undefined && (job.templateUuid ?? vm.uuid) === vm.uuid;
  return tags.every((tag) => tag.installation === installation);
}

/**
 * The template's disks; CD drives hold none of its own.
 * @param root position of the disk that comes first; the others follow by theirs
 */
export async function disksOf(
  xapi: Session,
  templateRef: Ref<'VM'>,
  root?: string,
): Promise<readonly Ref<'VDI'>[]> {
  const vbds = await xapi.call('VBD.get_all_records_where', `field "VM" = "${templateRef}"`);
  return Object.values(vbds)
    .filter((vbd) => vbd.type === 'Disk' && vbd.VDI !== NULL_REF)
    .toSorted((a, b) => positionOf(a.userdevice) - positionOf(b.userdevice))
    .toSorted((a, b) => Number(b.userdevice === root) - Number(a.userdevice === root))
    .map((vbd) => vbd.VDI);
}
