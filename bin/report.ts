import type { RestoreView } from '../functions/api/restore-view.ts';
import type { JobView } from '../functions/api/view.ts';
import type { Reached } from '../functions/words.ts';
import { type AnyJob, isRestore } from './any-job.ts';
import { duration, localTime, size, time } from './format.ts';
import { waitLine, waitText } from './job-waits.ts';
import { details, type Row } from './table.ts';

/** All of a job that a person wants to know. */
export function jobReport(job: AnyJob, now = new Date()): string {
  const wait = waitText(job, now);
  return details({
    Job: job.id,
    ...(isRestore(job) ? { Image: imageOf(job) } : { VM: vmOf(job.vm) }),
    Pool: job.pool,
    Host: job.host,
    Status: job.finishedAt === null ? `${job.status}, ${job.phase}, ${job.progress} %` : job.status,
    Waits: wait ? waitLine(wait) : null,
    'Failing since': job.retrying ? localTime(job.retrying.since, now) : null,
    'Requested by': job.requestedBy,
    'Cancelled by': job.cancelledBy,
    Error: job.error && `${job.error.name}: ${job.error.message}`,
    ...(isRestore(job) ? ofRestore(job) : ofSnapshot(job)),
    Warnings: job.warnings.join('; ') || null,
    Begun: time(job.createdAt),
    Took: job.finishedAt && duration((Date.parse(job.finishedAt) - Date.parse(job.createdAt)) / 1000),
    'xapi calls': job.xapiCalls || null,
    'Cost in AWS': job.cost && `$${job.cost.usd.toFixed(4)} (prices of ${job.cost.pricesOf})`,
    'Still owes': job.owes.join(', ') || null,
    'What comes next': job.owing?.message ?? null,
  });
}

function ofSnapshot(job: JobView): Row {
  return {
    Image: job.imageId && `${job.imageId} "${job.imageName}"`,
    Device: job.device,
    Size: sizeOf(job),
    sha512: job.sha512,
    VHDs: job.vhds.length || null,
    Consistency: job.consistency,
  };
}

function ofRestore(job: RestoreView): Row {
  const { vm, diskUuid, virtualBytes, bytesWritten, macs, reached, into } = job;
  return {
    VM: vm && vmOf(vm),
    Disk: diskUuid && `${diskUuid}${virtualBytes === null ? '' : `, ${size(virtualBytes)}`}`,
    'Disk before': into && diskBefore(into, job),
    SR: job.sr,
    'Size of image': sizeOf(job),
    Written: bytesWritten === null ? null : size(bytesWritten),
    Proved: reached && PROVED[reached],
    'MAC addresses': macs && (macs === 'kept' ? 'as they were' : 'new ones'),
  };
}

/** What a test that came so far has shown. */
export const PROVED: Readonly<Record<Reached, string>> = {
  disk: 'its disk was written and is whole',
  started: 'it started',
  tools: 'it started, and its guest tools were seen',
};

/** What became of the disk that the VM had. */
function diskBefore(
  { diskUuid, device, undoneAt, keptGoneAt }: NonNullable<RestoreView['into']>,
  { id, status }: RestoreView,
): string {
  const at = `${diskUuid}, at position ${device}`;
  if (undoneAt !== null) return `${at} again since ${time(undoneAt)}`;
  if (keptGoneAt !== null) return `${at} until then; gone since ${time(keptGoneAt)}`;
  if (status !== 'succeeded') return at;
  return `${at} until then; kept: "xensnap restore --undo ${id}" exchanges the two`;
}

function vmOf({ name, uuid }: JobView['vm']): string {
  return `${name} (${uuid})`;
}

function imageOf({ image: { id, name } }: RestoreView): string {
  return name === null ? id : `${id} "${name}"`;
}

function sizeOf({ sizeBytes }: AnyJob): string | null {
  return sizeBytes === null ? null : `${size(sizeBytes)} (${sizeBytes} bytes)`;
}
