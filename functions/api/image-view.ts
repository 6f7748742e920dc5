import { z } from '@hono/zod-openapi';
import { shorten } from '../../glance/shorten.ts';
import { XensnapError } from '../errors.ts';
import type { RestorePoint } from '../restore-points.ts';
import { readRestoreTested, TESTED_PROPERTY } from '../restore-tested.ts';
import { IMAGE_FORMATS, REACHED } from '../words.ts';
import { type Listener, toldTo } from './told-to.ts';

const time = z.iso.datetime();
const bytes = z.int().min(0);

/** A restore point as callers see it. */
export const ImageView = z
  .object({
    id: z.string().openapi({ format: 'uuid' }),
    name: z.string().nullable(),
    status: z.string().openapi({ description: "Glance's word for it.", example: 'active' }),
    createdAt: time.openapi({ description: 'When the image was asked for.' }),
    takenAt: time.nullable().openapi({
      description:
        "When the snapshot was taken, which is later where the job had to wait. Null where the job's record is gone.",
    }),
    sizeBytes: bytes.nullable().openapi({ description: 'Size of the image.' }),
    virtualBytes: bytes.nullable().openapi({ description: 'Virtual size of the disk.' }),
    format: z.enum(IMAGE_FORMATS).nullable(),
    vm: z
      .object({ uuid: z.string(), name: z.string().nullable() })
      .nullable()
      .openapi({ description: 'The VM that it is of, as it was called then.' }),
    device: z.string().nullable().openapi({
      description: 'Position of the disk in its VM; null where the image does not say it.',
      example: '0',
    }),
    pool: z.string().nullable(),
    backupType: z.string().nullable().openapi({ description: 'Null for a snapshot.', example: 'daily' }),
    consistency: z.string().nullable(),
    verified: z.boolean().openapi({
      description:
        'Whether a job has verified it, and it still is what that verified. Without a record of the job, an old image’s own word counts, and a newer one’s does not.',
    }),
    tested: z
      .object({
        at: time,
        seconds: z.int().min(0),
        reached: z.enum(REACHED).nullable().openapi({
          description:
            'How far it came: its disk was written and proved whole, the VM started, the guest’s tools were seen. Null where it failed.',
        }),
        failed: z.string().nullable().openapi({ description: 'The name of the error that it failed with.' }),
      })
      .nullable()
      .openapi({ description: 'How the last test of restoring it ended; null where there was none.' }),
    protected: z.boolean().openapi({ description: 'Against deletion, in Glance.' }),
    refusal: z
      .object({ name: z.string(), message: z.string() })
      .nullable()
      .openapi({ description: 'Why it cannot be restored as it is; null where it can.' }),
  })
  .openapi('Image');

export type ImageView = z.infer<typeof ImageView>;

/** A page of the list of restore points. */
export const ImagePage = z
  .object({ images: z.array(ImageView), next: z.string().nullable() })
  .openapi('ImagePage');

export type ImagePage = z.infer<typeof ImagePage>;

/** Of what an image's owner may have written. */
const MOST_CHARACTERS = 255;

export function imageView(point: RestorePoint, listener: Listener): ImageView {
  const { image, restorable, takenAt = null, verified } = point;
  const refused = restorable instanceof XensnapError;
  const said = (key: string) => shortened(image.properties[key]);
  const vmUuid = said('xensnap_vm');
  return {
    id: image.id,
    name: shortened(image.name),
    status: image.status,
    createdAt: image.createdAt,
    takenAt,
    sizeBytes: image.sizeBytes,
    virtualBytes: refused ? null : restorable.virtualBytes,
    format: refused ? null : restorable.format,
    vm: vmUuid === null ? null : { uuid: vmUuid, name: said('xensnap_vm_name') },
    device: refused ? null : (restorable.vmConfig?.disk.device ?? null),
    pool: said('xensnap_pool'),
    backupType: image.properties.image_type === 'backup' ? said('backup_type') : null,
    consistency: said('xensnap_consistency'),
    verified,
    tested: testedOf(image),
    protected: image.protected,
    refusal: refused ? toldTo(listener, restorable) : null,
  };
}

function shortened(text: string | null | undefined): string | null {
  return text === null || text === undefined ? null : shorten(text, MOST_CHARACTERS);
}

/** Nothing, for a text that is none of ours: an image's owner can write it. */
function testedOf({ properties }: Pick<RestorePoint['image'], 'properties'>): ImageView['tested'] {
  const tested = readRestoreTested(properties[TESTED_PROPERTY]);
  return tested ? { reached: null, failed: null, ...tested } : null;
}
