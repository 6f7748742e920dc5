import { isCode } from '../../xapi/errors.ts';
import { XensnapError } from '../errors.ts';
import { cancelPlugin } from '../pool/dom0.ts';
import { GONE, unlessGone } from '../pool/gone.ts';
import { giveUpHost, hostNamed, isHostAway, noteHostBack } from '../pool/host-away.ts';
import { paySecret } from '../pool/secrets.ts';
import { forgetTask } from '../pool/tasks.ts';
import type { StepDeps } from '../step.ts';

type Deps = StepDeps<'hostAwaySince'>;

/**
 * Stops what the plugin may still do for a job, and sees to it that the token is gone. Pays `plugin` and `secret`, each
 * whatever becomes of the other. A host that has been away for too long keeps the debt `plugin`, and nothing waits.
 */
export async function stopTransfer(deps: Deps): Promise<void> {
  const outcomes = await Promise.allSettled([stopAtHost(deps), paySecret(deps)]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

async function stopAtHost(deps: Deps): Promise<void> {
  const { job, store } = deps;
  if (!job.debts?.has('plugin')) return;
  const problem = await stopPlugin(deps);
  if (problem instanceof Error) {
    if (!(await giveUpHost(deps))) throw problem;
    deps.log.warn('the host is away; what it may still do is stopped when it answers', {
      host: job.hostUuid,
      reason: problem.message,
    });
    return;
  }
  // What only a host that is gone could see, a disk on its local storage, waits without the VM.
  if (problem === GONE) await giveUpHost(deps);
  else await noteHostBack(deps);
  if (job.uploadTask !== undefined) await forgetTask(deps, job.uploadTask);
  await store.jobs.pay(job.id, 'plugin');
}

/**
 * Undefined, or GONE for a host that is no longer in the pool, where it is proved that nothing is at work any more: the
 * plugin says so, or the host has no plugin.
 */
async function stopPlugin({ job, xapi }: StepDeps): Promise<Error | typeof GONE | undefined> {
  // Both go on record at once, before anything is begun on that host.
  if (job.hostRef === undefined || job.hostUuid === undefined) return undefined;
  const host = { class: 'host', ref: job.hostRef, uuid: job.hostUuid } as const;
  try {
    const status = await unlessGone(xapi, host, (ref) => cancelPlugin(xapi, ref, job.id));
    if (status === GONE) return GONE;
    // With the disk still in dom0's hands nothing has ended that matters.
    if (status.error?.code === 'VBD_STUCK')
      return new XensnapError(
        'StillOwed',
        `Host ${hostNamed(job)} still has the disk: ${status.error.message}`,
      );
    if (status.state !== 'running') return undefined;
    return new XensnapError(
      'StillOwed',
      `The ${WORK[job.machine]} on host ${hostNamed(job)} has not stopped yet.`,
    );
  } catch (error) {
    if (isCode(error, 'XENAPI_MISSING_PLUGIN')) return undefined;
    if (!(error instanceof Error && isHostAway(error))) throw error;
    return new XensnapError(
      'StillOwed',
      `The host ${hostNamed(job)} does not say that its ${WORK[job.machine]} has stopped: ${error.message}`,
      { cause: error },
    );
  }
}

const WORK = { snapshot: 'upload', restore: 'download' } as const;
