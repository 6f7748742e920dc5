import { isCode } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import type { Ref } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { detachFromControlDomains } from './control-domain.ts';
import { eachAlone } from './each-alone.ts';
import { byUuid, GONE, unlessGone, unlessUnknown } from './gone.ts';
import { mayBeKept } from './kept.ts';
import { disksOf } from './template.ts';

/** What is known of disks that are to go. */
interface HowToDestroy {
  /** They may be left attached in a control domain, where xapi exported them for us or the plugin wrote to them. */
  readonly exported: boolean;
  /** They are no snapshots: a restore has made them, or has taken them out of a VM. */
  readonly whole?: boolean;
  /** Somebody has said that what is kept is to go: without that, no disk goes that carries its mark. */
  readonly kept?: boolean;
}

/** A second round is for what was said to be gone, or destroyed, and is still there when it is looked for. */
const ROUNDS = 3;

/**
 * Destroys the disks of a snapshot, then its template, until none of them is found by its UUID any more. The caller has
 * proved that they are ours. A disk that cannot be destroyed keeps its template, which tells whose it is, and no other
 * disk. One that is no snapshot any more is left. Answers the UUIDs of those.
 * @param templateUuid undefined where only the disks are left
 * @throws what the first disk that cannot be destroyed was refused with, or XapiBusy when something is there although it
 *   was destroyed
 */
export async function destroyUntilGone(
  xapi: Session,
  templateUuid: string | undefined,
  diskUuids: readonly string[],
  { exported, whole = false, kept = false }: HowToDestroy,
): Promise<readonly string[]> {
  const left: string[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    const found = await eachAlone(diskUuids, (uuid) => destroyDisk(xapi, uuid, { exported, whole, kept }));
    left.push(...diskUuids.filter((uuid, nth) => found[nth] === 'no snapshot' && !left.includes(uuid)));
    const template = templateUuid && (await byUuid(xapi, 'VM', templateUuid));
    if (!template && !found.includes('destroyed')) return left;
    if (template)
      await unlessGone(xapi, { class: 'VM', ref: template, uuid: templateUuid }, (ref) =>
        xapi.call('VM.destroy', ref),
      );
  }
  throw new XensnapError(
    'XapiBusy',
    `The pool has destroyed ${[templateUuid, ...diskUuids].filter((uuid) => uuid !== undefined).join(', ')}, and still has some of it.`,
  );
}

async function destroyDisk(
  xapi: Session,
  uuid: string,
  { exported, whole, kept }: Required<HowToDestroy>,
): Promise<typeof GONE | 'no snapshot' | 'destroyed'> {
  const found = await byUuid(xapi, 'VDI', uuid);
  if (found === undefined) return GONE;
  return unlessGone(xapi, { class: 'VDI', ref: found, uuid }, async (ref) => {
    const { is_a_snapshot, other_config } = await xapi.call('VDI.get_record', ref);
    if (!is_a_snapshot && (!whole || (mayBeKept(other_config) && !kept))) return 'no snapshot';
    try {
      await xapi.call('VDI.destroy', ref);
    } catch (error) {
      if (!exported || !isCode(error, 'VDI_IN_USE') || !(await detachFromControlDomains(xapi, ref)))
        throw error;
      await xapi.call('VDI.destroy', ref);
    }
    return 'destroyed';
  });
}

/** Destroys a template with the disks that it has itself, whatever a job's record says. */
export async function destroyTemplate(
  xapi: Session,
  { ref, uuid }: { readonly ref: Ref<'VM'>; readonly uuid: string },
  options: { readonly exported: boolean },
): Promise<void> {
  await destroyUntilGone(xapi, uuid, await uuidsOf(xapi, await disksOf(xapi, ref)), options);
}

/** UUIDs of disks: what they are on record by. */
export async function uuidsOf(xapi: Session, disks: readonly Ref<'VDI'>[]): Promise<readonly string[]> {
  const uuids = await Promise.all(
    disks.map((ref) => unlessUnknown('VDI', ref, () => xapi.call('VDI.get_uuid', ref))),
  );
  return uuids.filter((uuid) => uuid !== GONE);
}
