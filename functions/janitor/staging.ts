import { isCode } from '../../xapi/errors.ts';
import type { Session } from '../../xapi/session.ts';
import type { HostRecord, Ref } from '../../xapi/types.ts';
import { type StagingFolder, type Swept, sweepStaged } from '../dom0.ts';
import type { Runtime } from '../runtime/executions.ts';
import { asJobError } from '../translate.ts';
import type { Finding } from './finding.ts';

/** Hosts that are asked in one round: all of the largest pool, 64, within an hour of rounds. */
const HOSTS_A_ROUND = 16;
const ROUND_SECONDS = 900;
/** The plugin takes 1000; what is more has its turn in the next round. */
const MAX_JOBS = 500;

/**
 * Staging folders that uploads of closed jobs left in SRs: the hard links in them keep the space of disks that are
 * destroyed. Each host says what it sees, and removes its own; what hosts made that are no longer in the pool goes by
 * whoever sees it.
 */
export async function sweepStaging(
  pool: string,
  xapi: Session,
  runtime: Runtime,
  dryRun: boolean,
): Promise<Finding[]> {
  const hosts = Object.entries(await xapi.call('host.get_all_records')) as [Ref<'host'>, HostRecord][];
  const members = new Set(hosts.map(([, { uuid }]) => uuid));
  // Several hosts see what is in a shared SR.
  const reported = new Set<string>();
  const findings: Finding[] = [];
  for (const [ref, { uuid, name_label: name }] of inTurn(hosts, runtime)) {
    try {
      const seen = await sweepStaged(xapi, ref, []);
      if (seen.unanswered.length > 0)
        runtime.log.warn('SRs did not answer the host', { host: uuid, srs: seen.unanswered });
      const doubtful = await withoutJob(seen.left, runtime);
      const due = await ofClosedJobs(seen.left, uuid, members, runtime);
      const swept = due.length > 0 && !dryRun ? await remove(xapi, ref, due, uuid) : undefined;
      for (const folder of [...doubtful, ...due]) {
        const key = `${folder.sr}/${folder.owner}/${folder.jobId}`;
        if (reported.has(key)) continue;
        reported.add(key);
        findings.push({
          kind: 'staging',
          pool,
          id: folder.jobId,
          what: `"${name}" sees disks in SR ${folder.sr} that ${folder.owner === uuid ? 'it' : `host ${folder.owner}`} staged for a job that is ${doubtful.includes(folder) ? 'not known here' : 'closed'}`,
          action: doubtful.includes(folder) ? 'left' : swept ? outcome(folder, swept) : 'would',
        });
      }
    } catch (error) {
      if (isAway(error)) continue;
      const what = `"${name}" could not look for staged disks: ${asJobError(error).message}`;
      findings.push({ kind: 'staging', pool, id: uuid, what, action: 'failed' });
    }
  }
  return findings;
}

/** Another part of a large pool each round. */
function inTurn<T>(hosts: readonly T[], { clock }: Runtime): readonly T[] {
  if (hosts.length <= HOSTS_A_ROUND) return hosts;
  const round = Math.floor(clock.now().getTime() / (ROUND_SECONDS * 1000));
  const begin = (round * HOSTS_A_ROUND) % hosts.length;
  return [...hosts.slice(begin), ...hosts.slice(0, begin)].slice(0, HOSTS_A_ROUND);
}

/** What this host may remove: its own, and that of hosts that have left the pool. */
async function ofClosedJobs(
  folders: readonly StagingFolder[],
  hostUuid: string,
  members: ReadonlySet<string>,
  { store }: Runtime,
): Promise<StagingFolder[]> {
  const due: StagingFolder[] = [];
  for (const folder of folders) {
    if (folder.owner !== hostUuid && members.has(folder.owner)) continue;
    const job = await store.jobs.get(folder.jobId);
    if (job && job.open === undefined && due.length < MAX_JOBS) due.push(folder);
  }
  return due;
}

/** Another installation's upload may be at work in them, until it has taken longer than any may. */
async function withoutJob(
  folders: readonly StagingFolder[],
  { store, config }: Runtime,
): Promise<StagingFolder[]> {
  const doubtful: StagingFolder[] = [];
  for (const folder of folders)
    if (folder.ageSeconds > config.timings.uploadMaxSeconds && !(await store.jobs.get(folder.jobId)))
      doubtful.push(folder);
  return doubtful;
}

function remove(
  xapi: Session,
  hostRef: Ref<'host'>,
  due: readonly StagingFolder[],
  hostUuid: string,
): Promise<Swept> {
  const owners = due.map(({ owner }) => owner).filter((owner) => owner !== hostUuid);
  return sweepStaged(xapi, hostRef, [...new Set(due.map(({ jobId }) => jobId))], [...new Set(owners)]);
}

function outcome(folder: StagingFolder, { left, unanswered }: Swept): Finding['action'] {
  const stays = left.some(
    ({ sr, owner, jobId }) => sr === folder.sr && owner === folder.owner && jobId === folder.jobId,
  );
  return stays || unanswered.includes(folder.sr) ? 'failed' : 'removed';
}

/** The host is not there, or has no plugin that can; the doctor tells of that. */
function isAway(error: unknown): boolean {
  return isCode(
    error,
    'HOST_OFFLINE',
    'CANNOT_CONTACT_HOST',
    'HANDLE_INVALID',
    'XENAPI_MISSING_PLUGIN',
    'UNKNOWN_XENAPI_PLUGIN_FUNCTION',
  );
}
