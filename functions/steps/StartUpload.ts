import { describeImage } from '../describe-image.ts';
import { putVdis, uploadStatus } from '../pool/dom0.ts';
import { step } from '../step.ts';
import { beginTransfer, earlierStatus } from '../transfer/begin.ts';
import { DEFAULT_FORMAT } from '../words.ts';

/** Has the plugin bundle and upload. */
export const handler = step(
  'StartUpload',
  { needs: ['hostRef', 'templateRef', 'templateUuid', 'device'] },
  async (_state, deps) => {
    const { job, xapi, config } = deps;
    const { hostRef, templateUuid, device } = job;
    const { state, run } = await earlierStatus(deps, () => uploadStatus(xapi, hostRef, job.id));
    if (state === 'running' || state === 'succeeded') return undefined;
    const { vmConfig, described } = await describeImage(deps);
    const { url, ca, fingerprint } = config.glance;
    const call = (tokenSecret: string | null) =>
      putVdis(xapi, hostRef, {
        jobId: job.id,
        imageId: job.id,
        templateUuid,
        device,
        source: job.readsChain === false ? 'export' : 'auto',
        format: job.request.format ?? DEFAULT_FORMAT,
        ...(vmConfig && job.request.format !== 'raw' && { vmConfig }),
        glanceUrl: url,
        tokenSecret,
        ...(ca !== undefined && { caPem: ca }),
        ...(fingerprint !== undefined && { fingerprint }),
      });
    await beginTransfer(deps, call, { run, facts: { bytesSent: 0, described } });
    return undefined;
  },
);
