import { z } from '@hono/zod-openapi';
import type { Image } from '../../glance/image.ts';
import { ROTATION_ACTIONS } from '../rotation.ts';
import type { Retention } from '../schedules/retention.ts';
import type { Schedule } from '../schedules/schedule.ts';
import { type Caller, confinedTo } from './caller.ts';
import { toldTo } from './told-to.ts';

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
  })
  .openapi('Retention');

export type RetentionView = z.infer<typeof RetentionView>;

export function retentionView(
  { keep, backupType }: Schedule,
  { vms, unasked }: Retention,
  caller: Caller,
): RetentionView {
  return {
    keep,
    backupType,
    vms: vms.map(({ verdicts, ...vm }) => ({
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
    })),
    unasked: unasked.map(({ pool = null, reason }) => ({ pool, reason: toldTo(caller, reason) })),
  };
}

/** The list has what others made of the same VM, too: that is not for the callers of a project. */
function mayKnow(caller: Caller, { properties }: Image): boolean {
  const confines = confinedTo(caller);
  return !confines || properties.xensnap_project === confines.id;
}
