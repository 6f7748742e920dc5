import type { Session } from '../../xapi/session.ts';
import { entriesOf, type Ref, type VbdRecord, type WholeVmRecord } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { positionOf } from './disk.ts';
import { byUuid, GONE, unlessUnknown } from './gone.ts';

/** A position of a VM. */
export interface Place {
  /** The VM's. */
  readonly uuid: string;
  /** As xapi has it in `userdevice`. */
  readonly device: string;
}

/** What a VM has at a position. */
export interface Found {
  readonly ref: Ref<'VM'>;
  readonly vm: WholeVmRecord;
  /** Absent where nothing is there. */
  readonly vbd?: { readonly ref: Ref<'VBD'>; readonly record: VbdRecord };
  /** Absent where no disk is there: an empty drive counts as something else. */
  readonly diskUuid?: string;
}

/** Looks at a position of a VM; undefined where the VM is gone. */
export async function lookAt(xapi: Session, { uuid, device }: Place): Promise<Found | undefined> {
  const ref = await byUuid(xapi, 'VM', uuid);
  if (ref === undefined) return undefined;
  const vm = await xapi.call('VM.get_record', ref);
  const vbds = entriesOf(await xapi.call('VBD.get_all_records_where', `field "VM" = "${ref}"`));
  const found = vbds.find(([, { userdevice }]) => positionOf(userdevice) === positionOf(device));
  if (!found) return { ref, vm };
  const [vbdRef, record] = found;
  const vbd = { ref: vbdRef, record };
  if (record.type !== 'Disk') return { ref, vm, vbd };
  const disk = await unlessUnknown('VDI', record.VDI, () => xapi.call('VDI.get_uuid', record.VDI));
  return disk === GONE ? { ref, vm, vbd } : { ref, vm, vbd, diskUuid: disk };
}

/**
 * Refuses a VM that something is at. One that starts is Halted until its domain is there, and no block stops it any
 * more; and xapi takes a disk out from under a start, a copy, an export or a snapshot.
 * @throws XapiBusy
 */
export function refuseWhileBusy({
  name_label: name,
  current_operations,
}: Pick<WholeVmRecord, 'name_label' | 'current_operations'>): void {
  const [operation] = Object.values(current_operations);
  if (operation !== undefined)
    throw new XensnapError(
      'XapiBusy',
      `The VM "${name}" is busy (${operation}): its disk stays until that is over.`,
    );
}
