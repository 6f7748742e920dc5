import { downloadStatus, getVdis } from '../pool/dom0.ts';
import { step } from '../step.ts';
import { beginTransfer, earlierStatus } from '../transfer/begin.ts';

/** Has the plugin write the image into the disk, which it attaches in its own dom0 for that. */
export const handler = step(
  'StartDownload',
  {
    needs: [
      'hostRef',
      'diskUuid',
      'virtualBytes',
      'imageFormat',
      'imageBytes',
      'imageSha512',
      'readsAsZeros',
    ],
  },
  async (_state, deps) => {
    const { job, xapi, config } = deps;
    const { hostRef } = job;
    const { state, run } = await earlierStatus(deps, () => downloadStatus(xapi, hostRef, job.id));
    if (state === 'running' || state === 'succeeded') return undefined;
    const { url, ca, fingerprint } = config.glance;
    // Another host than an earlier try's, or one that was reset since, does not know which sectors that has written to.
    const isAsMade = job.uploadAttempts === undefined || job.uploadAttempts === 0 || state !== 'unknown';
    const call = (tokenSecret: string | null) =>
      getVdis(xapi, hostRef, {
        jobId: job.id,
        imageId: job.request.image,
        vdiUuid: job.diskUuid,
        virtualBytes: job.virtualBytes,
        format: job.imageFormat,
        sizeBytes: job.imageBytes,
        sha512: job.imageSha512,
        readsAsZeros: job.readsAsZeros && isAsMade,
        installation: config.installation,
        glanceUrl: url,
        tokenSecret,
        ...(ca !== undefined && { caPem: ca }),
        ...(fingerprint !== undefined && { fingerprint }),
      });
    await beginTransfer(deps, call, { run });
    return undefined;
  },
);
