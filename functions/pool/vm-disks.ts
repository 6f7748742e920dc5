import type { Session } from '../../xapi/session.ts';
import { NULL_REF, type Ref, type VdiRecord, type VmRecord } from '../../xapi/types.ts';
import { mapBounded } from '../bounded.ts';
import { type Disk, diskOf } from './disk.ts';
import { GONE, unlessUnknown } from './gone.ts';
import { noDiskAt, rootDiskAmbiguous, rootDiskOf } from './root-disk.ts';

/** A disk of a VM with its record. */
export interface AttachedDisk {
  readonly disk: Disk;
  readonly vdi: VdiRecord;
}

/** Records read at a time. */
const READS_AT_ONCE = 8;

/** What is attached to a VM or to its template, without CD drives and empty VBDs. */
export async function disksOfVm(xapi: Session, vmRef: Ref<'VM'>): Promise<AttachedDisk[]> {
  const vbds = await xapi.call('VBD.get_all_records_where', `field "VM" = "${vmRef}"`);
  const ofDisks = Object.values(vbds).filter((vbd) => vbd.type === 'Disk' && vbd.VDI !== NULL_REF);
  const attached = await mapBounded(ofDisks, READS_AT_ONCE, async (vbd) => {
    const vdi = await unlessUnknown('VDI', vbd.VDI, () => xapi.call('VDI.get_record', vbd.VDI));
    // It was destroyed since.
    return vdi === GONE ? undefined : { vdi, disk: diskOf(vbd, vdi) };
  });
  return attached.filter((each) => each !== undefined);
}

/**
 * The disk that is to be imaged.
 * @param wanted its position, where the caller has named it
 * @throws RootDiskAmbiguous, or BadRequest where there is none at that position
 */
export async function chooseRoot(
  xapi: Session,
  vm: VmRecord,
  attached: readonly AttachedDisk[],
  wanted: string | undefined,
): Promise<AttachedDisk> {
  const disks = attached.map(({ disk }) => disk);
  const root = wanted === undefined ? rootDiskOf(vm, disks) : disks.find(({ device }) => device === wanted);
  const found = attached.find(({ disk }) => disk === root);
  if (found) return found;
  const named = await withSrNames(xapi, attached);
  if (root && 'doubt' in root) throw rootDiskAmbiguous(vm.name_label, named, root.doubt);
  throw noDiskAt(vm.name_label, named, wanted ?? '');
}

/** The same disks with the names of their SRs. */
export async function withSrNames(xapi: Session, attached: readonly AttachedDisk[]): Promise<Disk[]> {
  const refs = [...new Set(attached.map(({ vdi }) => vdi.SR))];
  const srs = await mapBounded(refs, READS_AT_ONCE, (ref) => xapi.call('SR.get_record', ref));
  const names = new Map(refs.map((ref, index) => [ref, srs[index]?.name_label ?? '']));
  return attached.map(({ disk, vdi }) => ({ ...disk, sr: names.get(vdi.SR) ?? '' }));
}
