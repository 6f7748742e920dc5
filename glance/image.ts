import * as z from 'zod';
import { MOST_IMAGES_OF_A_PAGE } from './limits.ts';

/** Glance's own words for an image's state; newer releases may add to them. */
export type ImageStatus =
  | 'queued'
  | 'saving'
  | 'uploading'
  | 'importing'
  | 'active'
  | 'killed'
  | 'deleted'
  | 'pending_delete'
  | 'deactivated'
  | (string & {});

/** An image record of Glance v2. Times are ISO 8601, UTC, whole seconds, as Glance has them. */
export interface Image {
  id: string;
  name: string | null;
  status: ImageStatus;
  /** null until an upload has ended */
  sizeBytes: number | null;
  /** md5 of the data, hex; null until an upload has ended */
  checksum: string | null;
  osHashAlgo: string | null;
  osHashValue: string | null;
  diskFormat: string | null;
  containerFormat: string | null;
  visibility: string;
  owner: string | null;
  protected: boolean;
  createdAt: string;
  updatedAt: string;
  /** GiB that a disk must have at least to hold it, as whoever made it says */
  minDisk?: number;
  /** the custom properties only */
  properties: Record<string, string>;
}

/** What createImage writes. */
export interface NewImage {
  id: string;
  name: string;
  properties: Record<string, string>;
  diskFormat: 'vhd' | 'raw';
  containerFormat: 'ovf' | 'bare';
  visibility: 'private';
  /** the project to which it is to belong, other than the token's: only an admin may say so */
  owner?: string | null;
  protected?: boolean;
  /** the smallest root disk that the image fits, in GiB, as Glance counts */
  minDisk?: number;
}

const wire = z.looseObject({
  id: z.string(),
  name: z.string().nullish(),
  status: z.string(),
  size: z.number().nullish(),
  checksum: z.string().nullish(),
  os_hash_algo: z.string().nullish(),
  os_hash_value: z.string().nullish(),
  disk_format: z.string().nullish(),
  container_format: z.string().nullish(),
  visibility: z.string(),
  owner: z.string().nullish(),
  protected: z.boolean(),
  min_disk: z.number().nullish(),
  created_at: z.string(),
  updated_at: z.string(),
});

// Base attributes that are strings or may become so, and that the schema above does not name.
const notCustom = new Set([...Object.keys(wire.shape), 'file', 'schema', 'self', 'direct_url', 'stores']);

/** Reads one image as Glance v2 sends it: custom properties lie beside the attributes. */
export const imageOnTheWire = wire.transform((image): Image => {
  const custom = Object.entries(image).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string' && !notCustom.has(entry[0]),
  );
  return {
    id: image.id,
    name: image.name ?? null,
    status: image.status,
    sizeBytes: image.size ?? null,
    checksum: image.checksum ?? null,
    osHashAlgo: image.os_hash_algo ?? null,
    osHashValue: image.os_hash_value ?? null,
    diskFormat: image.disk_format ?? null,
    containerFormat: image.container_format ?? null,
    visibility: image.visibility,
    owner: image.owner ?? null,
    protected: image.protected,
    createdAt: image.created_at,
    updatedAt: image.updated_at,
    ...(typeof image.min_disk === 'number' && { minDisk: image.min_disk }),
    properties: Object.fromEntries(custom),
  };
});

/** An array whose length is looked at before its items are, each of which could be a fault to be told of. */
function atMost<T extends z.ZodType>(length: number, item: T) {
  return z.array(z.unknown()).max(length).pipe(z.array(item));
}

/** One page of a list; `next` is a path that carries the marker. */
export const pageOnTheWire = z.looseObject({
  images: atMost(MOST_IMAGES_OF_A_PAGE, imageOnTheWire),
  next: z.string().optional(),
});

/** The answer of the endpoint's root. */
export const versionsOnTheWire = z.looseObject({
  versions: atMost(100, z.looseObject({ id: z.string(), status: z.string() })),
});
