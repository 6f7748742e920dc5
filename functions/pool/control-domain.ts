import { isCode } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import { entriesOf, type Ref } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { unlessUnknown } from './gone.ts';

/** A disk's attachments: to control domains, as an export makes them, and to whatever else, by VM or snapshot. */
export interface Attachments {
  readonly inControlDomains: readonly { readonly ref: Ref<'VBD'>; readonly domain: string }[];
  readonly others: readonly Ref<'VM'>[];
}

/** Where a disk is attached, or could be. */
export async function attachmentsOf(xapi: Session, vdiRef: Ref<'VDI'>): Promise<Attachments> {
  const vbds = entriesOf(await xapi.call('VBD.get_all_records_where', `field "VDI" = "${vdiRef}"`));
  const inControlDomains: { ref: Ref<'VBD'>; domain: string }[] = [];
  const others: Ref<'VM'>[] = [];
  for (const [ref, vbd] of vbds) {
    const vm = await xapi.call('VM.get_record', vbd.VM);
    if (vm.is_control_domain) inControlDomains.push({ ref, domain: vm.name_label });
    else others.push(vbd.VM);
  }
  return { inControlDomains, others };
}

/**
 * Takes a disk out of control domains, which keep what xapi exported when it was restarted meanwhile, and with which no
 * disk can be destroyed. Never by force: one that is still read stays. The caller has proved that the disk is ours and
 * that no upload of ours reads it any more. Answers whether there was anything to take.
 * @throws XapiBusy, with the domain's name, where it does not let go of it
 */
export async function detachFromControlDomains(xapi: Session, vdiRef: Ref<'VDI'>): Promise<boolean> {
  const { inControlDomains } = await attachmentsOf(xapi, vdiRef);
  for (const { ref, domain } of inControlDomains)
    try {
      // xapi may just end its export, and take it away itself.
      await unlessUnknown('VBD', ref, async () => {
        await xapi.call('VBD.unplug', ref).catch((error: unknown) => {
          if (!isCode(error, 'DEVICE_ALREADY_DETACHED')) throw error;
        });
        await xapi.call('VBD.destroy', ref);
      });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new XensnapError(
        'XapiBusy',
        `"${domain}" has the disk attached and does not let go of it: ${why}`,
        {
          cause: error,
        },
      );
    }
  return inControlDomains.length > 0;
}
