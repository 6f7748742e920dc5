import { isCode } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import { entriesOf } from '../../xapi/types.ts';
import { leftoversOf } from '../pool/dom0.ts';
import { isHostAway } from '../pool/host-away.ts';
import type { Runtime } from '../runtime/executions.ts';
import { asJobError } from '../translate.ts';
import { type Finding, ROUND_SECONDS } from './finding.ts';

/** Hosts that are asked in one round: all of the largest pool, 64, within an hour of rounds. */
const HOSTS_A_ROUND = 16;

/**
 * Staging folders that the first version of the plugin left in SRs. The hard links in them keep the space of disks that
 * are destroyed, and can make the storage manager take a base copy for a disk's only file. They are told of and never
 * removed: which of the names is the one that a disk needs, a person must see.
 */
export async function findLeftovers(pool: string, xapi: Session, runtime: Runtime): Promise<Finding[]> {
  const hosts = entriesOf(await xapi.call('host.get_all_records'));
  // Several hosts see what is in a shared SR.
  const findings = new Map<string, Finding>();
  for (const [ref, { uuid, name_label: name }] of inTurn(hosts, runtime)) {
    try {
      const { folders, unanswered } = await leftoversOf(xapi, ref);
      if (unanswered.length > 0)
        runtime.log.warn('SRs did not answer the host', { host: uuid, srs: unanswered });
      for (const folder of folders) {
        const id = `${folder.sr}/${folder.name}`;
        const what = `"${name}" sees a folder of the first version's plugin in SR ${folder.sr}; docs/upgrade.md says what to do`;
        findings.set(id, { kind: 'staging', pool, id, what, action: 'left' });
      }
    } catch (error) {
      if (cannotLook(error)) continue;
      const what = `"${name}" could not look for folders in its SRs: ${asJobError(error).message}`;
      findings.set(uuid, { kind: 'staging', pool, id: uuid, what, action: 'failed' });
    }
  }
  return [...findings.values()];
}

/** Another part of a large pool each round. */
function inTurn<T>(hosts: readonly T[], { clock }: Runtime): readonly T[] {
  if (hosts.length <= HOSTS_A_ROUND) return hosts;
  const round = Math.floor(clock.now().getTime() / (ROUND_SECONDS * 1000));
  const begin = (round * HOSTS_A_ROUND) % hosts.length;
  return [...hosts.slice(begin), ...hosts.slice(0, begin)].slice(0, HOSTS_A_ROUND);
}

/** The host is not there, or has no plugin that can; the doctor tells of that. */
function cannotLook(error: unknown): boolean {
  return (
    isHostAway(error) ||
    isCode(error, 'HANDLE_INVALID', 'XENAPI_MISSING_PLUGIN', 'UNKNOWN_XENAPI_PLUGIN_FUNCTION')
  );
}
