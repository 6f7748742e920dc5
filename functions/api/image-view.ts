import { z } from '@hono/zod-openapi';
import { shorten } from '../../glance/shorten.ts';
import { XensnapError } from '../errors.ts';
import type { RestorePoint } from '../restore-points.ts';
import { IMAGE_FORMATS } from '../words.ts';
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
    pool: z.string().nullable(),
    backupType: z.string().nullable().openapi({ description: 'Null for a snapshot.', example: 'daily' }),
    consistency: z.string().nullable(),
    verified: z.boolean().openapi({
      description:
        'Whether a job has verified it, and it still is what that verified. Without a record of the job, an old image’s own word counts, and a newer one’s does not.',
    }),
    tested: z
      .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
      .nullable()
      .openapi({ description: 'What the last test restore of it has shown; null where there was none.' }),
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

/** What a test restore writes on the image. */
const TESTED_PROPERTY = 'xensnap_restore_tested';
/** Of what an image's owner may have written. */
const MOST_CHARACTERS = 255;
const MOST_TESTED_CHARACTERS = 1024;

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
    pool: said('xensnap_pool'),
    backupType: image.properties.image_type === 'backup' ? said('backup_type') : null,
    consistency: said('xensnap_consistency'),
    verified,
    tested: testedOf(image.properties[TESTED_PROPERTY]),
    protected: image.protected,
    refusal: refused ? toldTo(listener, restorable) : null,
  };
}

function shortened(text: string | null | undefined): string | null {
  return text === null || text === undefined ? null : shorten(text, MOST_CHARACTERS);
}

const Tested = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

/** The property's fields; null for a text that is none of ours. */
function testedOf(text: string | undefined): z.infer<typeof Tested> | null {
  if (text === undefined || text.length > MOST_TESTED_CHARACTERS) return null;
  try {
    return Tested.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
