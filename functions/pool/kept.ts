import * as z from 'zod';
import { isCode } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import type { Ref, StringMap, VdiRecord } from '../../xapi/types.ts';

/** What is written on a disk that a restore has taken out of a VM, so that whoever finds it knows where it belongs. */
const Note = z.object({
  installation: z.string().max(256),
  /** The disk's own UUID: a copy of it has the note, too, and is not kept. */
  disk: z.uuid(),
  /** The VM that had it, and at which position. */
  vm: z.uuid(),
  device: z.string().max(16),
  since: z.iso.datetime(),
});
export type Note = z.infer<typeof Note>;

/** A note, and the job that has written it. */
export interface Kept extends Note {
  readonly jobId: string;
}

const keyOf = (jobId: string) => `xensnap:${jobId}:kept`;
const KEY = /^xensnap:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):kept$/;

/** Whether something calls the disk kept, be it a note that nobody can read: nothing destroys it unasked. */
export function mayBeKept(otherConfig: StringMap): boolean {
  return Object.keys(otherConfig).some((key) => KEY.test(key));
}

/**
 * What the disk is kept for by this installation; undefined where it is not. Of several notes the last counts: somebody
 * gave the disk back to a VM by hand, and another restore took it out again.
 */
export function keptAs(
  vdi: Pick<VdiRecord, 'uuid' | 'other_config'>,
  installation: string,
): Kept | undefined {
  return Object.entries(vdi.other_config)
    .flatMap(([key, value]) => {
      const jobId = KEY.exec(key)?.[1];
      const note = jobId === undefined ? undefined : parse(value);
      return note && jobId !== undefined ? [{ jobId, ...note }] : [];
    })
    .filter((kept) => kept.installation === installation && kept.disk === vdi.uuid)
    .toSorted((a, b) => a.since.localeCompare(b.since))
    .at(-1);
}

function parse(value: string): Note | undefined {
  try {
    return Note.parse(JSON.parse(value));
  } catch {
    return undefined;
  }
}

/** Writes on a disk that it is kept. What stands there already stays. */
export async function keep(xapi: Session, disk: Ref<'VDI'>, jobId: string, note: Note): Promise<void> {
  try {
    await xapi.call('VDI.add_to_other_config', disk, keyOf(jobId), JSON.stringify(note));
  } catch (error) {
    if (!isCode(error, 'MAP_DUPLICATE_KEY')) throw error;
  }
}

/** Takes that off again. */
export async function keepNoMore(xapi: Session, disk: Ref<'VDI'>, jobId: string): Promise<void> {
  await xapi.call('VDI.remove_from_other_config', disk, keyOf(jobId));
}
