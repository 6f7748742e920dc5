import { isCode } from '../xapi/errors.ts';
import type { Session } from '../xapi/session.ts';
import type { Ref } from '../xapi/types.ts';

/** Keys of `other_config` by which a snapshot is told to be ours: xapi copies them from VM and disk into it. */
export const TAGS = { job: 'xensnap:job', installation: 'xensnap:installation' } as const;

/**
 * Tags a VM and its disks. A tag that another left there is replaced: who tags has the VM's lease. The VM's job tag is
 * the first to come and the last to go, so that while it is absent no other is there.
 */
export async function tag(
  xapi: Session,
  vmRef: Ref<'VM'>,
  disks: readonly Ref<'VDI'>[],
  values: { job: string; installation: string },
): Promise<void> {
  for (const [name, key] of Object.entries(TAGS))
    await replacing(
      () => xapi.call('VM.add_to_other_config', vmRef, key, values[name as keyof typeof TAGS]),
      () => xapi.call('VM.remove_from_other_config', vmRef, key),
    );
  for (const vdiRef of disks)
    for (const [name, key] of Object.entries(TAGS))
      await replacing(
        () => xapi.call('VDI.add_to_other_config', vdiRef, key, values[name as keyof typeof TAGS]),
        () => xapi.call('VDI.remove_from_other_config', vdiRef, key),
      );
}

/** Takes the tags off. What is gone needs none. */
export async function untag(xapi: Session, vmRef: Ref<'VM'>, disks: readonly Ref<'VDI'>[]): Promise<void> {
  for (const vdiRef of disks)
    for (const key of Object.values(TAGS))
      await unlessGone(xapi.call('VDI.remove_from_other_config', vdiRef, key));
  for (const key of [TAGS.installation, TAGS.job])
    await unlessGone(xapi.call('VM.remove_from_other_config', vmRef, key));
}

// Adding fails where the key is there, with whatever value (db_cache_impl.ml).
async function replacing(add: () => Promise<unknown>, remove: () => Promise<unknown>): Promise<void> {
  try {
    await add();
  } catch (error) {
    if (!isCode(error, 'MAP_DUPLICATE_KEY')) throw error;
    await remove();
    await add();
  }
}

async function unlessGone(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!isCode(error, 'HANDLE_INVALID')) throw error;
  }
}
