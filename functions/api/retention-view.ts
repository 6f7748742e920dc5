import { z } from '@hono/zod-openapi';
import type { Image } from '../../glance/image.ts';
import { ROTATION_ACTIONS } from '../rotation.ts';
import type { Retention } from '../schedules/retention.ts';
import type { Schedule } from '../schedules/schedule.ts';
import { type Caller, confinedTo } from './caller.ts';
import { MOST_ANSWER_BYTES, withRoom } from './room.ts';
import { toldTo } from './told-to.ts';
import { markerOfVm } from './vm-place.ts';

/** What a rotation would do now, as callers see it. */
export const RetentionView = z
  .object({
    keep: z.int(),
    backupType: z.string(),
    vms: z.array(
      z.object({
        pool: z.string(),
        uuid: z.string(),
        name: z.string(),
        images: z.array(
          z.object({
            id: z.string(),
            name: z.string().nullable(),
            verifiedAt: z.string().nullable(),
            sizeBytes: z.number().nullable(),
            action: z.enum(ROTATION_ACTIONS),
            why: z.string(),
          }),
        ),
      }),
    ),
    unasked: z.array(
      z.object({
        pool: z.string().nullable(),
        reason: z.object({ name: z.string(), message: z.string() }),
      }),
    ),
    next: z.string().nullable(),
  })
  .openapi('Retention');

export type RetentionView = z.infer<typeof RetentionView>;

export function retentionView(
  { keep, backupType }: Schedule,
  { vms, unasked, left }: Retention,
  caller: Caller,
): RetentionView {
  const all = vms.map(({ verdicts, ...vm }) => ({
    ...vm,
    images: verdicts
      .filter(({ image }) => mayKnow(caller, image))
      .map(({ image, action, why }) => ({
        id: image.id,
        name: image.name ?? null,
        verifiedAt: image.properties.xensnap_verified_at ?? null,
        sizeBytes: image.sizeBytes ?? null,
        action,
        why,
      })),
  }));
  const page = withRoom(all, MOST_ANSWER_BYTES);
  const last = page.at(-1);
  return {
    keep,
    backupType,
    vms: page,
    next: last && page.length < all.length + left ? markerOfVm(last) : null,
    unasked: unasked.map(({ pool = null, reason }) => ({ pool, reason: toldTo(caller, reason) })),
  };
}

/** The list has what others made of the same VM, too: that is not for the callers of a project. */
function mayKnow(caller: Caller, { properties }: Image): boolean {
  const confines = confinedTo(caller);
  return !confines || properties.xensnap_project === confines.id;
}
