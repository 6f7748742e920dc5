import type { Session } from '../../xapi/session.ts';
import type { Runtime } from '../runtime/executions.ts';
import { asJobError } from '../translate.ts';
import { sweepDisks } from './disks.ts';
import type { Finding } from './finding.ts';
import { findLeftovers } from './leftovers.ts';
import { each, type Round } from './round.ts';
import { sweepSecrets } from './secrets.ts';
import { sweepTasks } from './tasks.ts';
import { sweepVms } from './vms.ts';

/**
 * Looks through one pool for what closed jobs of this installation left there. What can't be handled is named.
 * @param options.seconds for all calls of the pool together
 */
export async function sweepPool(
  pool: string,
  runtime: Runtime,
  { dryRun, seconds }: { dryRun: boolean; seconds: number },
): Promise<Finding[]> {
  const findings: Finding[] = [];
  try {
    const look = async (xapi: Session) => {
      const round: Round = { pool, xapi, runtime, dryRun };
      for (const sweep of [sweepVms, sweepDisks, sweepSecrets, sweepTasks])
        await each(round, { kind: 'pool', id: pool }, findings, () => sweep(round, findings));
      findings.push(...(await findLeftovers(pool, xapi, runtime)));
    };
    await runtime.withSession(pool, look, { seconds });
  } catch (error) {
    findings.push({ kind: 'pool', pool, id: pool, what: asJobError(error).message, action: 'failed' });
  }
  return findings;
}
