import { isCode } from '../xapi/errors.ts';
import type { Session } from '../xapi/session.ts';
import { NULL_REF, type Ref, type VmRecord } from '../xapi/types.ts';
import { type Job, snapshotLabel } from './job.ts';
import { TAGS } from './tags.ts';

/** A snapshot template with its record. */
export interface Template {
  readonly ref: Ref<'VM'>;
  readonly record: VmRecord;
}

/**
 * The job's snapshot template, if there is one: by what is on record, else by its label. Only one that is provably
 * ours counts: a snapshot of that VM, with our label, our job's tag and our installation's.
 */
export async function findTemplate(
  xapi: Session,
  job: Job,
  installation: string,
): Promise<Template | undefined> {
  const refs =
    job.templateRef === undefined
      ? await xapi.call('VM.get_by_name_label', snapshotLabel(job.id))
      : [job.templateRef];
  for (const ref of refs) {
    try {
      const record = await xapi.call('VM.get_record', ref);
      if (isOurs(record, job, installation)) return { ref, record };
    } catch (error) {
      if (!isCode(error, 'HANDLE_INVALID')) throw error;
    }
  }
  return undefined;
}

function isOurs(vm: VmRecord, job: Job, installation: string): boolean {
  return (
    vm.is_a_snapshot &&
    vm.snapshot_of === job.vmRef &&
    vm.name_label === snapshotLabel(job.id) &&
    vm.other_config[TAGS.job] === job.id &&
    vm.other_config[TAGS.installation] === installation
  );
}

/** The template's disks, the root's first; CD drives hold none of its own. */
export async function disksOf(xapi: Session, templateRef: Ref<'VM'>): Promise<readonly Ref<'VDI'>[]> {
  const vbds = await xapi.call('VBD.get_all_records_where', `field "VM" = "${templateRef}"`);
  return Object.values(vbds)
    .filter((vbd) => vbd.type === 'Disk' && vbd.VDI !== NULL_REF)
    .toSorted((a, b) => Number(a.userdevice) - Number(b.userdevice))
    .map((vbd) => vbd.VDI);
}
