import type { Image } from '../glance/image.ts';
import type { VerifiedBackup } from './store/backups.ts';

/**
 * Of an image that was looked for and is not there, to follow its name. Glance answers the same of one that our account
 * may not see.
 */
export const GONE =
  'is no longer in Glance, as far as our account sees (deleted, or given to others? by whom is not known)';

/** How an image differs from what was verified, as text that follows its name; undefined if it does not. */
export function differenceOf(
  image: Image | undefined,
  verified: Pick<VerifiedBackup, 'sha512' | 'bytes' | 'owner'>,
  installation: string,
): string | undefined {
  if (!image) return GONE;
  const { sha512, bytes, owner } = verified;
  if (image.status !== 'active') return `is ${image.status} in Glance, not active`;
  if (image.properties.xensnap_installation !== installation || image.properties.xensnap_job !== image.id)
    return "no longer says that it is this installation's";
  if (owner !== undefined && image.owner !== owner) return 'belongs to somebody else now';
  if (bytes !== undefined && image.sizeBytes !== bytes)
    return `has ${image.sizeBytes} bytes in Glance, and ${bytes} were verified`;
  if (sha512 !== undefined && (image.osHashAlgo !== 'sha512' || image.osHashValue !== sha512))
    return 'has another sha512 in Glance than was verified';
  return undefined;
}
