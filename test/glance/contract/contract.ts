import { cutUploadsContract } from './cut-uploads.ts';
import { limitsContract } from './limits.ts';
import { listsContract } from './lists.ts';
import { recordsContract } from './records.ts';
import type { Target } from './target.ts';
import { uploadsContract } from './uploads.ts';

/**
 * What xensnap relies on in a Glance. Held against a real one by `npm run test:glance` and against the embedded one
 * by `npm test`, so that the embedded one cannot drift from the real.
 */
export function glanceContract(target: Target): void {
  recordsContract(target);
  listsContract(target);
  uploadsContract(target);
  cutUploadsContract(target);
  limitsContract(target);
}
