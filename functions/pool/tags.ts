import { isCode } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import { entriesOf, type Ref, type StringMap } from '../../xapi/types.ts';
import { GONE, unlessGone, unlessUnknown } from './gone.ts';

/** Keys of `other_config` as the first version wrote them, one pair for all jobs: still understood, and removed. */
export const TAGS = { job: 'xensnap:job', installation: 'xensnap:installation' } as const;

/** A job that tagged something, and the installation that it is of. */
export interface Tag {
  readonly jobId: string;
  readonly installation: string | undefined;
}

/**
 * A job's tag, by which what it made is told to be ours: xapi copies it from VM and disk into a snapshot. Each job has
 * a key of its own, so that two installations that image one VM at the same moment do not take each other's.
 */
export function tagsOf(jobId: string, installation: string): StringMap {
  return { [keyOf(jobId)]: installation };
}

const keyOf = (jobId: string) => `xensnap:${jobId}`;
const KEY = /^xensnap:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** Every tag in an `other_config`. */
export function tagsIn(otherConfig: StringMap): readonly Tag[] {
  const found: Tag[] = Object.entries(otherConfig).flatMap(([key, installation]) => {
    const jobId = KEY.exec(key)?.[1];
    return jobId === undefined ? [] : [{ jobId, installation }];
  });
  const first = otherConfig[TAGS.job];
  return first === undefined
    ? found
    : [...found, { jobId: first, installation: otherConfig[TAGS.installation] }];
}

/** The keys of a job's tag in an `other_config`. */
export function keysIn(otherConfig: StringMap, jobId: string): readonly string[] {
  const own = [keyOf(jobId)].filter((key) => key in otherConfig);
  return otherConfig[TAGS.job] === jobId ? [...own, TAGS.installation, TAGS.job] : own;
}

/**
 * Tags a VM and its disks for a job. The VM's tag is the first to come and the last to go, so that while it is absent
 * no other is there.
 * @returns GONE where one of the disks is not there any more: the VM was reverted, or its storage moved
 */
export async function tag(
  xapi: Session,
  vmRef: Ref<'VM'>,
  disks: readonly Ref<'VDI'>[],
  { jobId, installation }: { jobId: string; installation: string },
): Promise<typeof GONE | undefined> {
  const key = keyOf(jobId);
  await unlessThere(xapi.call('VM.add_to_other_config', vmRef, key, installation));
  for (const vdiRef of disks) {
    const tagged = await unlessUnknown('VDI', vdiRef, () =>
      unlessThere(xapi.call('VDI.add_to_other_config', vdiRef, key, installation)),
    );
    if (tagged === GONE) return GONE;
  }
  return undefined;
}

// Adding fails where the key is there, with whatever value (db_cache_impl.ml); a job's own key has the job's value.
async function unlessThere(added: Promise<unknown>): Promise<void> {
  try {
    await added;
  } catch (error) {
    if (!isCode(error, 'MAP_DUPLICATE_KEY')) throw error;
  }
}

/**
 * Takes a job's tag off its disks, then off the VM.
 * @param keys more than the job's own where the first version left some
 */
export async function untag(
  xapi: Session,
  vm: { readonly ref: Ref<'VM'>; readonly uuid: string },
  disks: readonly Ref<'VDI'>[],
  jobId: string,
  keys: readonly string[] = [keyOf(jobId)],
): Promise<void> {
  await untagDisks(xapi, disks, keys);
  await unlessGone(xapi, { class: 'VM', ...vm }, async (ref) => {
    for (const key of keys) await xapi.call('VM.remove_from_other_config', ref, key);
  });
}

async function untagDisks(
  xapi: Session,
  disks: readonly Ref<'VDI'>[],
  keys: readonly string[],
): Promise<void> {
  for (const vdiRef of disks)
    for (const key of keys) {
      const removed = await unlessUnknown('VDI', vdiRef, () =>
        xapi.call('VDI.remove_from_other_config', vdiRef, key),
      );
      if (removed === GONE) return untagDisksFound(xapi, keys);
    }
}

/**
 * Looks the tagged disks up by their tag: one that was moved to another SR, or came back with a reverted snapshot, has
 * another reference and another UUID.
 */
async function untagDisksFound(xapi: Session, keys: readonly string[]): Promise<void> {
  const all = await xapi.call('VDI.get_all_records_where', 'field "is_a_snapshot" = "false"');
  for (const [ref, { other_config }] of entriesOf(all))
    for (const key of keys.filter((each) => each in other_config))
      await xapi.call('VDI.remove_from_other_config', ref, key);
}
