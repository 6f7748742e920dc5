import type { FactName, FactOf } from '../../statemachine/contract.ts';
import type { Ref } from '../../xapi/types.ts';
import type { TransferStatus } from '../pool/dom0.ts';
import { isHostAway, noteHostBack, refuseAfterLong } from '../pool/host-away.ts';
import { destroySecret, destroySecretsOfJob } from '../pool/secrets.ts';
import { tagsOf } from '../pool/tags.ts';
import { tagTask } from '../pool/tasks.ts';
import { housekeeping, owe, record, type StepDeps } from '../step.ts';
import type { JobFacts } from '../store/jobs.ts';
import { isReplyLost } from '../translate.ts';

/** What both steps that have the plugin begin something put on record. */
type Begun = FactOf<'StartUpload'> & FactOf<'StartDownload'>;

/** How an earlier try ended, if there was one. A host that is away is waited for, but not for ever. */
export async function earlierStatus<S extends TransferStatus>(
  deps: StepDeps<'hostAwaySince'>,
  ask: () => Promise<S>,
): Promise<S> {
  try {
    const status = await ask();
    await noteHostBack(deps);
    return status;
  } catch (error) {
    if (isHostAway(error)) await refuseAfterLong(deps, error);
    throw error;
  }
}

/**
 * Has the plugin begin an upload or a download with a token of its own. The plugin refuses a second one of the same job
 * while the first runs, so that a reply that was lost can't make two; that one runs or is over is seen from its status.
 * @param call what is called, with the UUID of the secret that holds the token
 * @param options.run the plugin's name of the try before this one
 * @param options.facts what else is on record from the beginning of the try
 */
export async function beginTransfer<F extends FactName = never>(
  deps: StepDeps<Begun | F>,
  call: (tokenSecret: string | null) => Promise<Ref<'task'>>,
  { run, facts }: { run: string | null | undefined; facts?: JobFacts<F> },
): Promise<void> {
  const { job } = deps;
  const now = deps.clock.now().toISOString();
  const token = await deps.glanceToken();
  const begun = {
    ...facts,
    uploadAttempts: (job.uploadAttempts ?? 0) + 1,
    uploadStartedAt: now,
    firstUploadAt: job.firstUploadAt ?? now,
    earlierAttempt: run ?? undefined,
    bytesRead: 0,
  } as JobFacts<Begun | F>;
  await owe(deps, 'plugin', token === undefined ? begun : {});
  let sent = false;
  let uploadTask: Ref<'task'>;
  try {
    // The record of its beginning is written last, so that a failure before it does not count as a try.
    const tokenSecret = token === undefined ? null : await makeTokenSecret(deps, token, begun);
    sent = true;
    uploadTask = await call(tokenSecret);
  } catch (error) {
    if (sent && isReplyLost(error)) {
      deps.log.warn('the reply to the call of the plugin was lost; asking the plugin itself', {
        reason: String(error),
      });
      return;
    }
    await housekeeping(deps.log, 'that nothing was begun', () =>
      record<Begun>(deps, { uploadAttempts: job.uploadAttempts ?? 0 }),
    );
    throw error;
  }
  await tagTask(deps, uploadTask);
  await record<Begun>(deps, { uploadTask });
}

/** Hands the Glance token to the plugin through a xapi secret, which the plugin destroys once it has read it. */
async function makeTokenSecret<F extends FactName>(
  deps: StepDeps<Begun | F>,
  token: string,
  begun: JobFacts<Begun | F>,
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
