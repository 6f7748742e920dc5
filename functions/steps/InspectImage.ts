import { randomUUID } from 'node:crypto';
import { XensnapError } from '../errors.ts';
import { otherVmWarning } from '../into-vm.ts';
import { chooseSr, readsAsZeros, refuseWithoutRoom } from '../pool/choose-sr.ts';
import { requirePlugin } from '../pool/dom0.ts';
import { chooseHost } from '../pool/host.ts';
import { allowedToRestore } from '../projects.ts';
import { lineFor } from '../queue/line.ts';
import { restorableImage } from '../restorable-image.ts';
import { step } from '../step.ts';

/**
 * Looks at the image as it is now, chooses the SR that its disk goes to and the host that will download, and puts the job
 * in that host's line.
 */
export const handler = step('InspectImage', { needs: [] }, async (_state, deps) => {
  const { job, xapi, store, glance, config } = deps;
  const { image: imageId, sr: asked } = job.request;
  const image = restorableImage(imageId, await glance.getImage(imageId), job.project, config);
  const other = job.into && otherVmWarning(job.into, image);
  for (const warning of [...image.warnings, ...(other === undefined ? [] : [other])])
    if (!job.warnings?.includes(warning)) await store.jobs.warn(job.id, warning, warning);
  // The image's id is that of the job which made it; its record may be gone.
  const before = job.into?.srUuid ?? (await store.jobs.snapshot(imageId))?.srUuid;
  const { ref: srRef, record: sr } = await chooseSr(xapi, {
    asked,
    before,
    allowed: allowedToRestore(job.project, config)?.srs,
  });
  refuseWithoutRoom(sr, image);
  const host = await chooseHost(xapi, store, {
    pool: job.pool,
    srRef,
    srName: sr.name_label,
    residentOn: undefined,
  });
  await requirePlugin(xapi, host.ref, host.record.name_label);
  const place = { group: lineFor(job, host.record.uuid, sr.uuid, config), ticket: randomUUID() };
  const facts = {
    hostRef: host.ref,
    hostUuid: host.record.uuid,
    hostName: host.record.name_label,
    srRef,
    srUuid: sr.uuid,
    readsAsZeros: readsAsZeros(sr),
    imageName: image.name,
    imageFormat: image.format,
    imageBytes: image.sizeBytes,
    imageSha512: image.sha512,
    virtualBytes: image.virtualBytes,
    vmConfig: image.vmConfig && JSON.stringify(image.vmConfig),
    startedAt: job.startedAt ?? deps.clock.now().toISOString(),
  };
  if (await store.jobs.queue(job.id, place, facts, { first: true })) return { ...place, confirmed: false };
  // Another run of this step was first: the job is let through only with the ticket on record.
  const { group, ticket, closing } = (await store.jobs.get(job.id)) ?? {};
  if (group !== undefined && ticket !== undefined && !closing) return { group, ticket, confirmed: false };
  throw new XensnapError('JobClosing', 'The job is being closed: it does not queue.');
});
