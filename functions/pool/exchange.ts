import { isCode } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import type { VbdRecord } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { attachmentsOf } from './control-domain.ts';
import { byUuid, unlessUnknown } from './gone.ts';
import { lookAt, type Place, refuseWhileBusy } from './position.ts';

/** How a disk is attached to its VM: what the one that takes its place gets, too. */
export type Attachment = Pick<
  VbdRecord,
  'bootable' | 'mode' | 'unpluggable' | 'other_config' | 'qos_algorithm_type' | 'qos_algorithm_params'
>;

export function attachmentOf(vbd: VbdRecord): Attachment {
  const { bootable, mode, unpluggable, other_config, qos_algorithm_type, qos_algorithm_params } = vbd;
  return { bootable, mode, unpluggable, other_config, qos_algorithm_type, qos_algorithm_params };
}

/** One disk in another's place, each by its UUID. */
export interface Exchange extends Place {
  readonly from: string;
  readonly to: string;
  readonly as: Attachment;
  /** The VM had the disk that is to come: whoever else has it attached, too, does not keep it from there. */
  readonly back?: boolean;
}

/**
 * `done` is what a look has proved. Everything else has changed nothing: the VM is not halted, or gone; the disk that is
 * to come is gone, or attached elsewhere; something else is at the position.
 */
export type Exchanged = 'done' | 'not halted' | 'VM gone' | 'disk gone' | 'disk held' | 'other disk';

/** One round for each of the two calls, one for the look, and some for whoever comes between them. */
const ROUNDS = 5;

/**
 * Puts a disk into another's place. Each round looks anew and does one call at most, so that it may be begun again
 * wherever an earlier run has ended; xapi itself takes no second device at a position.
 * @param before called before each effect; what it throws keeps that from being done
 * @throws XapiBusy while something else is at the VM, and when the position is never found as it was left
 */
export async function exchange(
  xapi: Session,
  { uuid, device, from, to, as, back = false }: Exchange,
  before: () => Promise<unknown>,
): Promise<Exchanged> {
  for (let round = 1; round <= ROUNDS; round++) {
    const at = await lookAt(xapi, { uuid, device });
    if (!at) return 'VM gone';
    if (at.diskUuid === to) return 'done';
    if (at.vm.power_state !== 'Halted') return 'not halted';
    refuseWhileBusy(at.vm);
    if (at.vbd && at.diskUuid !== from) return 'other disk';
    const disk = await byUuid(xapi, 'VDI', to);
    if (disk === undefined) return 'disk gone';
    const { others } = await attachmentsOf(xapi, disk);
    if (others.some((vm) => !back || vm === at.ref)) return 'disk held';
    await before();
    const { vbd } = at;
    if (vbd) await unlessUnknown('VBD', vbd.ref, () => xapi.call('VBD.destroy', vbd.ref));
    else
      try {
        await xapi.call('VBD.create', {
          ...{ ...as, VM: at.ref, VDI: disk, userdevice: device, type: 'Disk', empty: false },
        });
      } catch (error) {
        // What an earlier run has asked for may have come in between.
        if (!isCode(error, 'DEVICE_ALREADY_EXISTS')) throw error;
      }
  }
  throw new XensnapError(
    'XapiBusy',
    `The position ${device} of the VM changes faster than it can be looked at.`,
  );
}
