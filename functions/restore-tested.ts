import * as z from 'zod';
import type { RestoreJob } from './job.ts';
import { REACHED } from './words.ts';

/** The image property that says how the last test of the image ended, as JSON. */
export const TESTED_PROPERTY = 'xensnap_restore_tested';

const MOST_CHARACTERS = 255;
/** When the test ended, ISO 8601 UTC, and how long it took from the first byte of the download on. */
const when = { at: z.iso.datetime(), seconds: z.int().min(0) };

/** How the last test of an image ended: how far it was proved, or the name of the error that it failed with. */
const RestoreTested = z.union([
  z.strictObject({ ...when, reached: z.enum(REACHED) }),
  z.strictObject({ ...when, failed: z.string().regex(/^[A-Za-z]{1,60}$/) }),
]);

export type RestoreTested = z.infer<typeof RestoreTested>;

/** How long a test took until it was proved, or had failed: from the first byte of the download on. */
export function testSeconds(
  {
    provenAt,
    finishedAt,
    firstUploadAt,
    createdAt,
  }: Pick<RestoreJob, 'provenAt' | 'finishedAt' | 'firstUploadAt' | 'createdAt'>,
  now?: string,
): number {
  const end = provenAt ?? finishedAt ?? now ?? createdAt;
  return Math.max(0, Math.round((Date.parse(end) - Date.parse(firstUploadAt ?? createdAt)) / 1000));
}

/** The property as it is read, wherever it is; undefined for what is none, since an image's owner can edit it. */
export function readRestoreTested(text: string | undefined): RestoreTested | undefined {
  if (text === undefined || text.length > MOST_CHARACTERS) return undefined;
  try {
    return RestoreTested.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
