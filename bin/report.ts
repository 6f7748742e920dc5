import type { JobView } from '../functions/api/view.ts';
import { duration, localTime, size, time } from './format.ts';
import { waitLine, waitText } from './job-waits.ts';
import { details } from './table.ts';

/** All of a job that a person wants to know. */
export function jobReport(job: JobView, now = new Date()): string {
  const wait = waitText(job, now);
  return details({
    Job: job.id,
    VM: `${job.vm.name} (${job.vm.uuid})`,
    Pool: job.pool,
    Host: job.host,
    Status: job.finishedAt === null ? `${job.status}, ${job.phase}, ${job.progress} %` : job.status,
    Waits: wait ? waitLine(wait) : null,
    'Failing since': job.retrying ? localTime(job.retrying.since, now) : null,
    'Requested by': job.requestedBy,
    'Cancelled by': job.cancelledBy,
    Error: job.error && `${job.error.name}: ${job.error.message}`,
    Image: job.imageId && `${job.imageId} "${job.imageName}"`,
    Device: job.device,
    Size: job.sizeBytes === null ? null : `${size(job.sizeBytes)} (${job.sizeBytes} bytes)`,
    sha512: job.sha512,
    VHDs: job.vhds.length || null,
    Consistency: job.consistency,
    Warnings: job.warnings.join('; ') || null,
    Begun: time(job.createdAt),
    Took: job.finishedAt && duration((Date.parse(job.finishedAt) - Date.parse(job.createdAt)) / 1000),
    'xapi calls': job.xapiCalls || null,
    'Cost in AWS': job.cost && `$${job.cost.usd.toFixed(4)} (prices of ${job.cost.pricesOf})`,
    'Still owes': job.owes.join(', ') || null,
    'What comes next': job.owing?.message ?? null,
  });
}
