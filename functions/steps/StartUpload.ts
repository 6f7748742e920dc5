import type { FactOf } from '../../statemachine/contract.ts';
import type { Ref } from '../../xapi/types.ts';
import { describeImage } from '../describe-image.ts';
import { putVdis, type UploadStatus, uploadStatus } from '../pool/dom0.ts';
import { isHostAway, noteHostBack, refuseAfterLong } from '../pool/host-away.ts';
import { destroySecret, destroySecretsOfJob } from '../pool/secrets.ts';
import { tagsOf } from '../pool/tags.ts';
import { tagTask } from '../pool/tasks.ts';
import { type DepsOf, housekeeping, owe, record, step } from '../step.ts';
import type { JobFacts } from '../store/jobs.ts';
import { isReplyLost } from '../translate.ts';
import { DEFAULT_FORMAT } from '../words.ts';

/**
 * Has the plugin bundle and upload. The plugin refuses a second upload of the same job while the first runs, so
 * that a reply that was lost can't make two; that one runs or is over is seen from its status.
 */
export const handler = step(
  'StartUpload',
  { needs: ['hostRef', 'templateRef', 'templateUuid', 'device'] },
  async (_state, deps) => {
    const { job, xapi, clock, config } = deps;
    const { hostRef, templateUuid, device } = job;
    const { state, run } = await statusOf(deps, hostRef);
    if (state === 'running' || state === 'succeeded') return undefined;
    const { vmConfig, described } = await describeImage(deps);
    const now = clock.now().toISOString();
    const token = await deps.glanceToken();
    const begun: JobFacts<FactOf<'StartUpload'>> = {
      uploadAttempts: (job.uploadAttempts ?? 0) + 1,
      uploadStartedAt: now,
      firstUploadAt: job.firstUploadAt ?? now,
      earlierAttempt: run ?? undefined,
      bytesRead: 0,
      bytesSent: 0,
      described,
    };
    await owe(deps, 'plugin', token === undefined ? begun : {});
    const { url, ca, fingerprint } = config.glance;
    let sent = false;
    let uploadTask: Ref<'task'>;
    try {
      // The record of its beginning is written last, so that a failure before it does not count as a try.
      const tokenSecret = token === undefined ? null : await makeTokenSecret(deps, token, begun);
      sent = true;
      uploadTask = await putVdis(xapi, hostRef, {
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
    } catch (error) {
      if (sent && isReplyLost(error)) {
        deps.log.warn('the reply to put_vdis was lost; asking the plugin itself', { reason: String(error) });
        return undefined;
      }
      await housekeeping(deps.log, 'that no upload was begun', () =>
        record(deps, { uploadAttempts: job.uploadAttempts ?? 0 }),
      );
      throw error;
    }
    await tagTask(deps, uploadTask);
    await record(deps, { uploadTask });
    return undefined;
  },
);

/** How an earlier try ended, if there was one. A host that is away is waited for, but not with the VM in hand for ever. */
async function statusOf(deps: DepsOf<'StartUpload'>, hostRef: Ref<'host'>): Promise<UploadStatus> {
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
async function makeTokenSecret(
  deps: DepsOf<'StartUpload'>,
  token: string,
  begun: JobFacts<FactOf<'StartUpload'>>,
): Promise<string> {
  const { job, xapi, config } = deps;
  // What stays of an earlier try, the cleanup or the janitor finds by its tag.
  await housekeeping(deps.log, 'the secret of an earlier try', async () => {
    if (job.secretUuid !== undefined) await destroySecret(xapi, job.secretUuid);
    else if (job.debts?.has('secret')) await destroySecretsOfJob(xapi, job.id);
  });
  // Should the reply to the creation be lost, the UUID on record would be the earlier one's.
  if (job.secretUuid !== undefined) await deps.store.jobs.record(job.id, {}, ['secretUuid']);
  await owe(deps, 'secret');
  const other_config = tagsOf(job.id, config.installation);
  const secretRef = await xapi.call('secret.create', { value: token, other_config });
  const secretUuid = await xapi.call('secret.get_uuid', secretRef);
  await record(deps, { ...begun, secretUuid });
  return secretUuid;
}
