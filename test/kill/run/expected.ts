import type { Job } from '../../../functions/job.ts';
import { CATALOGUE } from '../cells/catalogue.ts';
import { type CallCell, type Cell, type EventName, isStopped, isUndone } from '../cells/cell.ts';
import { isDocumented } from './rules.ts';
import { type Ended, UNANSWERED } from './runs.ts';

/** Names that tell an operator nothing of what really failed. */
const UNTRUE: ReadonlySet<string> = new Set(['Internal', 'JobClosing', 'JobUnknown', 'StillOwed']);

/** What was not as it is documented of such a fault; a line each. */
export function unexpected(cell: Cell, { answer, job, transfers: sent }: Ended): string[] {
  if (!job) return refusalWrong(cell, answer);
  if (UNTRUE.has(job.error?.name ?? '')) return [`the cause is ${job.error?.name}: ${job.error?.message}`];
  if ('event' in cell) return EVENT[cell.event](job, sent);
  const isKilled = cell.fault === 'killed';
  if (isKilled && !isUndone(cell.run)) return [...interrupted(job), ...transfers(job)];
  // A job that was killed while it was undone has two causes.
  if (isKilled && job.error?.name === 'Interrupted') return [];
  if (isUndone(cell.run)) return is(job, 'failed', 'PoolPermissionDenied');
  if (isStopped(cell.run)) return is(job, 'failed', 'Interrupted');
  const { lasting } = CATALOGUE[cell.to][cell.fault] ?? {};
  if (lasting === 'passes') return mayNotFail(cell, job);
  return causeWrong(cell, job);
}

/** A trouble that passes costs no job, and no upload or download but one of which nothing had been sent. */
function mayNotFail(cell: CallCell, job: Job): string[] {
  if (job.status === 'succeeded') return /Upload$|Download$|^plugin$/.test(cell.state) ? [] : transfers(job);
  // A call that was lost before it did anything, or of which there is only the record, is never made again: ADR 4.
  const isSending =
    cell.name === 'Async.VM.snapshot' || (cell.state === 'StartSnapshot' && cell.fault === 'zombie');
  if (isSending && job.error?.name === 'SnapshotLost') return [];
  return [`it ${job.status}: ${job.error?.name}: ${job.error?.message}`];
}

function transfers({ uploadAttempts = 0 }: Job): string[] {
  return uploadAttempts > 1 ? [`its data was sent ${uploadAttempts} times`] : [];
}

/** Of what stays, the cause is told: in xapi's words, or as Glance's or Keystone's. */
function causeWrong(cell: CallCell, { status, error }: Job): string[] {
  if (status === 'succeeded') return [];
  const { name = '', message = '' } = error ?? {};
  const isTold =
    cell.to === 'xapi'
      ? message.includes(cell.fault)
      : cell.to === 'keystone'
        ? /^Keystone/.test(name)
        : /^(Glance|Image)/.test(name);
  return isTold ? [] : [`the cause is ${name}: ${message}`];
}

/** A request may be refused for what passes, but not without a name. */
function refusalWrong(cell: Cell, { status, body }: Ended['answer']): string[] {
  const { state } = cell;
  // Whoever is killed answers nobody.
  if (status === UNANSWERED && ('event' in cell ? cell.event === 'service killed' : cell.fault === 'killed'))
    return [];
  const { name = 'nothing', message = '' } = body?.error ?? {};
  const said = `the request was answered ${status} ${name}: ${message}`;
  if (state !== 'request') return [said];
  return isDocumented(name) && !UNTRUE.has(name) ? [] : [said];
}

function is(job: Job, status: Job['status'], name: string): string[] {
  return job.status === status && job.error?.name === name
    ? []
    : [`it ${job.status}: ${job.error?.name}: ${job.error?.message}`];
}

/** One whose process is gone is undone, unless it had committed. */
function interrupted(job: Job): string[] {
  if (job.status === 'succeeded') return job.committed ? [] : ['it succeeded, and is not committed'];
  return is(job, 'failed', 'Interrupted');
}

const succeeded = (job: Job) =>
  job.status === 'succeeded'
    ? transfers(job)
    : [`it ${job.status}: ${job.error?.name}: ${job.error?.message}`];
/** The second of two that begin a transfer at once counts a try that the plugin, at work already, refuses. */
const succeededOnce = (job: Job, sent: number) => {
  if (job.status !== 'succeeded') return succeeded(job);
  return sent !== 1 ? [`its data was sent ${sent} times`] : [];
};
const anyCause = (job: Job) =>
  job.status === 'succeeded' || isDocumented(job.error?.name ?? '') ? [] : [`it ${job.status}`];
/** Before its upload nothing of xapi's is lost but a session; tasks are, and then the job may fail by name. */
const lostTasks = (job: Job) =>
  job.status === 'succeeded' ||
  /^(SnapshotLost|UploadFailed|SnapshotFailed|DownloadFailed)$/.test(job.error?.name ?? '')
    ? []
    : [`it ${job.status}: ${job.error?.name}: ${job.error?.message}`];

const EVENT: Readonly<Record<EventName, (job: Job, sent: number) => string[]>> = {
  'service killed': interrupted,
  'execution stopped': interrupted,
  'job cancelled': (job) => (job.status === 'succeeded' ? [] : is(job, 'cancelled', 'JobCancelled')),
  'called twice at once': succeededOnce,
  'called twice in turn': succeeded,
  'xapi restarted': lostTasks,
  'failed over': lostTasks,
  'host dies, returns': anyCause,
  'host dies, is ejected': anyCause,
};
