import type { CommonView } from '../functions/api/common-view.ts';
import type { RestoreView } from '../functions/api/restore-view.ts';
import type { JobView } from '../functions/api/view.ts';
import { ApiRefused } from './failures.ts';

/** A job of either kind, as the API tells of it. */
export type AnyJob = JobView | RestoreView;

export function isRestore(job: AnyJob): job is RestoreView {
  return 'image' in job;
}

/** Where the API has a job of which the kind is known. */
export function pathOf(kind: 'snapshots' | 'restores', id: CommonView['id']): string {
  return `/${kind}/${encodeURIComponent(id)}`;
}

/**
 * Asks for a job of which nobody has said whether it is a snapshot's or a restore; answers its path as well.
 * @throws ApiRefused where it is neither
 */
export async function ofEitherKind<T>(
  id: string,
  ask: (path: string) => Promise<T>,
): Promise<{ readonly path: string; readonly answer: T }> {
  const path = pathOf('snapshots', id);
  try {
    return { path, answer: await ask(path) };
  } catch (error) {
    if (!(error instanceof ApiRefused && error.status === 404)) throw error;
    const other = pathOf('restores', id);
    return { path: other, answer: await ask(other) };
  }
}
