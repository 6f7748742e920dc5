import type { Ref } from '../../xapi/types.ts';
import { putVdis, type UploadStatus, uploadStatus } from '../dom0.ts';
import { isHostAway, noteHostBack, refuseAfterLong } from '../host-away.ts';
import { known } from '../known.ts';
import { destroySecret, destroySecretsOfJob } from '../secrets.ts';
import { owe, record, type StepDeps, step } from '../step.ts';
import { tagsOf } from '../tags.ts';
import { isReplyLost } from '../translate.ts';

/**
 * Has the plugin bundle and upload. The plugin refuses a second upload of the same job while the first runs, so
 * that a reply that was lost can't make two; that one runs or is over is seen from its status.
 */
export const handler = step('StartUpload', async (_state, deps) => {
  const { job, xapi, clock, config } = deps;
  const hostRef = known(job, 'hostRef');
  const { state, run } = await statusOf(deps, hostRef);
  if (state === 'running' || state === 'succeeded') return undefined;
  const now = clock.now().toISOString();
  await owe(deps, 'plugin', {
    uploadAttempts: (job.uploadAttempts ?? 0) + 1,
    uploadStartedAt: now,
    firstUploadAt: job.firstUploadAt ?? now,
    earlierRun: run ?? undefined,
    uploadSource: undefined,
    bytesRead: 0,
    bytesSent: 0,
  });
  const tokenSecret = await makeTokenSecret(deps);
  const { url, ca, fingerprint } = config.glance;
  try {
    const uploadTask = await putVdis(xapi, hostRef, {
      jobId: job.id,
      imageId: job.id,
      templateRef: known(job, 'templateRef'),
      device: job.device ?? '0',
      source: job.readsChain === false ? 'export' : 'auto',
      format: job.request.format ?? 'vhd',
      glanceUrl: url,
      tokenSecret,
      ...(ca !== undefined && { caPem: ca }),
      ...(fingerprint !== undefined && { fingerprint }),
    });
    await record(deps, { uploadTask });
  } catch (error) {
    if (!isReplyLost(error)) throw error;
    deps.log.warn('the reply to put_vdis was lost; asking the plugin itself', { reason: String(error) });
  }
  return undefined;
});

/** How an earlier try ended, if there was one. A host that is away is waited for, but not with the VM in hand for ever. */
async function statusOf(deps: StepDeps, hostRef: Ref<'host'>): Promise<UploadStatus> {
  try {
    const status = await uploadStatus(deps.xapi, hostRef, deps.job.id);
    await noteHostBack(deps);
    return status;
  } catch (error) {
    if (isHostAway(error)) await refuseAfterLong(deps, error);
    throw error;
  }
}

/** Hands the Glance token to the plugin through a xapi secret, which the plugin destroys once it has read it. */
async function makeTokenSecret(deps: StepDeps): Promise<string | null> {
  const { job, xapi, config } = deps;
  const token = await deps.glanceToken();
  if (token === undefined) return null;
  if (job.secretUuid !== undefined) await destroySecret(xapi, job.secretUuid);
  else if (job.debts?.has('secret')) await destroySecretsOfJob(xapi, job.id);
  await owe(deps, 'secret');
  const other_config = tagsOf(job.id, config.installation);
  const secretRef = await xapi.call('secret.create', { value: token, other_config });
  const secretUuid = await xapi.call('secret.get_uuid', secretRef);
  await record(deps, { secretUuid });
  return secretUuid;
}
