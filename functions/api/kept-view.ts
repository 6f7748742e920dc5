import { z } from '@hono/zod-openapi';
import type { KeptDisk } from '../kept-disks.ts';
import { bytes } from './common-view.ts';

/** A disk that a restore has taken out of its VM, as callers see it. */
export const KeptDiskView = z
  .object({
    restore: z.uuid().openapi({
      description: 'The restore that has kept it; what undoes it and what destroys it goes by this.',
    }),
    pool: z.string(),
    uuid: z.uuid(),
    name: z.string(),
    virtualBytes: bytes,
    vmUuid: z.uuid().openapi({ description: 'The VM that it was taken out of.' }),
    device: z.string().openapi({ description: 'The position that it had there.', example: '0' }),
    since: z.iso.datetime(),
  })
  .openapi('KeptDisk');

export type KeptDiskView = z.infer<typeof KeptDiskView>;

/** The kept disks, and what could not be looked at. */
export const KeptDisksView = z
  .object({
    kept: z.array(KeptDiskView),
    gaps: z
      .array(z.object({ pool: z.string(), name: z.string(), message: z.string() }))
      .openapi({ description: 'Pools of which disks may be missing here, and why.' }),
  })
  .openapi('KeptDisks');

export type KeptDisksView = z.infer<typeof KeptDisksView>;

export function keptDiskView({ jobId: restore, ...disk }: KeptDisk): KeptDiskView {
  return { restore, ...disk };
}
