import type { Context } from 'hono';

/** Who asks. Everyone is `local` until the API has authentication; idempotency keys belong to a caller. */
export function callerOf(_c: Context): string {
  return 'local';
}
