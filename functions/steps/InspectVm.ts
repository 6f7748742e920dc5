import { randomUUID } from 'node:crypto';
import { NULL_REF, type Ref } from '../../xapi/types.ts';
import { XensnapError } from '../errors.ts';
import { requirePlugin } from '../pool/dom0.ts';
import { byUuid } from '../pool/gone.ts';
import { chooseHost } from '../pool/host.ts';
import { inspectVm } from '../pool/inspect.ts';
import { lineFor } from '../queue/line.ts';
import { type SnapshotDeps, step } from '../step.ts';

/** Looks at the VM as it is now, chooses the host that will upload, and puts the job in that host's line. */
export const handler = step('InspectVm', { needs: [] }, async (_state, deps) => {
  const { job, xapi, store, config } = deps;
  const { vmRef, vm, rootVdi, device, diskRefs, sr, virtualBytes, readsChain, warnings } = await inspectVm(
    xapi,
    await vmRefOf(deps),
    job.request,
  );
  for (const warning of warnings)
    if (!job.warnings?.includes(warning)) await store.jobs.warn(job.id, warning, warning);
  const host = await chooseHost(xapi, store, {
    pool: job.pool,
    srRef: rootVdi.SR,
    srName: sr.name_label,
    residentOn: vm.resident_on === NULL_REF ? undefined : vm.resident_on,
  });
  await requirePlugin(xapi, host.ref, host.record.name_label);
  const place = { group: lineFor(job, host.record.uuid, sr.uuid, config), ticket: randomUUID() };
  const facts = {
    vmRef,
    vmName: vm.name_label,
    hostRef: host.ref,
    hostUuid: host.record.uuid,
    hostName: host.record.name_label,
    srRef: rootVdi.SR,
    srUuid: sr.uuid,
    device,
    taggedDisks: diskRefs,
    virtualBytes,
    readsChain,
    startedAt: job.startedAt ?? deps.clock.now().toISOString(),
  };
  if (await store.jobs.queue(job.id, place, facts, { first: true })) return { ...place, confirmed: false };
  // Another run of this step was first: the job is let through only with the ticket on record.
  const { group, ticket, closing } = (await store.jobs.get(job.id)) ?? {};
  if (group !== undefined && ticket !== undefined && !closing) return { group, ticket, confirmed: false };
  throw new XensnapError('JobClosing', 'The job is being closed: it does not queue.');
});

async function vmRefOf({ job, xapi }: SnapshotDeps): Promise<Ref<'VM'>> {
  const found = await byUuid(xapi, 'VM', job.vmUuid);
  if (found !== undefined) return found;
  throw new XensnapError('VmGone', `The VM "${job.vmName}" is no longer there.`);
}
