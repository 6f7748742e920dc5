import type { Session } from '../../xapi/session.ts';
import type { Runtime } from '../runtime/executions.ts';
import { asJobError } from '../translate.ts';
import type { Finding } from './finding.ts';

/** One round through one pool. */
export interface Round {
  readonly pool: string;
  readonly xapi: Session;
  readonly runtime: Runtime;
  readonly dryRun: boolean;
}

/** What was found and done; undefined where there is nothing to tell. */
export type Found = Pick<Finding, 'what' | 'action'> | undefined;

/** Errors which say that the pool itself is away: nothing else in it can be handled either. */
const AWAY = new Set(['PoolUnreachable', 'PoolLoginRefused', 'PoolCertificateMismatch']);

/** Handles one thing: what goes wrong with it is a finding and stops no other, unless the pool is away. */
export async function each(
  { pool }: Round,
  { kind, id }: Pick<Finding, 'kind' | 'id'>,
  findings: Finding[],
  handle: () => Promise<unknown>,
): Promise<void> {
  try {
    await handle();
  } catch (error) {
    const { name, message } = asJobError(error);
    // A list that is not answered says that the pool hangs, and each further question would wait as long.
    if (AWAY.has(name) || (kind === 'pool' && name === 'XapiReplyLost')) throw error;
    findings.push({ kind, pool, id, what: message, action: 'failed' });
  }
}

/** Whether a job of this installation is closed: then nothing of it may be left anywhere. Unknown jobs count as closed. */
export async function isClosed(jobId: string, { store }: Runtime): Promise<boolean> {
  return (await store.jobs.get(jobId))?.open === undefined;
}
