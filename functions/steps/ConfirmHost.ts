import { randomUUID } from 'node:crypto';
import type { Session } from '../../xapi/session.ts';
import { NULL_REF, type Ref } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { isSnapshot, type Job, nameOf } from '../job.ts';
import { requirePlugin } from '../pool/dom0.ts';
import { chooseHost, hostsWithSr } from '../pool/host.ts';
import { lineFor } from '../queue/line.ts';
import { releaseSlotOf } from '../queue/wake.ts';
import { record, step } from '../step.ts';
import { slotsOfHost, slotsOfSr } from '../store/counters.ts';

/** How often a job may stand in another line because its host lost sight of the disk, or was disabled. */
const MAX_REQUEUES = 2;

/**
 * The VM may have moved while the job queued, storage been detached, or the host been disabled that was to restore. Where
 * the SR is still attached to the granted host, that host goes on all the same; else the slot, and only the slot, goes
 * back, and the job takes a ticket for another host's line.
 */
export const handler = step(
  'ConfirmHost',
  { needs: ['group', 'ticket', 'hostRef', 'srRef', 'srUuid'] },
  async (_state, deps) => {
    const { job, xapi, store, config } = deps;
    const { srRef } = job;
    const place = { group: job.group, ticket: job.ticket };
    // An earlier run of this step has put the job in another line, where it has no slot yet.
    if (job.ticketState !== 'granted') return { ...place, confirmed: false };
    const attached = await hostsWithSr(xapi, srRef);
    const hostsLeft = isSnapshot(job) ? undefined : job.hostsLeft;
    const isLeft = job.hostUuid !== undefined && hostsLeft?.includes(job.hostUuid);
    // An earlier run of this step may have given it back, before whatever had it queue again was over.
    const holds = (await store.counters.holders(slotsOfHost(place.group))).includes(job.id);
    if (attached.includes(job.hostRef) && !isLeft && holds) return { ...place, confirmed: true };
    const requeues = (job.requeues ?? 0) + 1;
    if (requeues > MAX_REQUEUES)
      throw new XensnapError(
        'StorageNotAttached',
        isLeft
          ? `The hosts that were to restore ${nameOf(job)} were disabled one after the other, ${requeues} times.`
          : `The storage of ${nameOf(job)} was detached from its host ${requeues} times while the job queued.`,
      );
    const host = await chooseHost(xapi, store, {
      pool: job.pool,
      srRef,
      srName: (await xapi.call('SR.get_record', srRef)).name_label,
      residentOn: await residentOn(job, xapi),
      except: hostsLeft,
    });
    await requirePlugin(xapi, host.ref, host.record.name_label);
    const next = { group: lineFor(job, host.record.uuid, job.srUuid, config), ticket: randomUUID() };
    // Refused where this run is no longer the one that counts: the slot may be in use by now.
    await record(deps, { requeues });
    await releaseSlotOf(slotsOfHost(place.group), job.id, deps);
    await releaseSlotOf(slotsOfSr(job.pool, job.srUuid), job.id, deps);
    const queued = await store.jobs.queue(job.id, next, {
      requeues,
      hostRef: host.ref,
      hostUuid: host.record.uuid,
      hostName: host.record.name_label,
    });
    if (!queued) throw new XensnapError('JobClosing', 'The job is being closed: it does not queue again.');
    return { ...next, confirmed: false };
  },
);

/** Where the VM runs of which a snapshot is made; a restore has none yet. */
async function residentOn(job: Job, xapi: Session): Promise<Ref<'host'> | undefined> {
  if (!isSnapshot(job) || job.vmRef === undefined) return undefined;
  const { resident_on } = await xapi.call('VM.get_record', job.vmRef);
  return resident_on === NULL_REF ? undefined : resident_on;
}
