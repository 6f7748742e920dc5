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

/** Makes one look of a round: if it fails, that is its finding, and the round goes on with the next. */
export async function alone(
  of: Pick<Finding, 'kind' | 'id' | 'pool'>,
  look: () => Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  try {
    return await look();
  } catch (error) {
    return [{ ...of, what: asJobError(error).message, action: 'failed' }];
  }
}

/** Whether a job of this installation is closed: then nothing of it may be left anywhere. Unknown jobs count as closed. */
export async function isClosed(jobId: string, { store }: Runtime): Promise<boolean> {
  return (await store.jobs.get(jobId))?.open === undefined;
}

/** Whether a snapshot was made before any upload of it that could still be at work. */
export function isOld(snapshotTime: Date, { clock, config }: Runtime): boolean {
  return clock.now().getTime() - snapshotTime.getTime() > config.timings.uploadMaxSeconds * 1000;
}
