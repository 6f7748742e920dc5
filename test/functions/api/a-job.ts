import { randomUUID } from 'node:crypto';
import type { RestoreJob, SnapshotJob } from '../../../functions/job.ts';

/** A job as the store keeps it, for tests that need no pool to have made it. */
export function aJob(fields: Partial<SnapshotJob> = {}): SnapshotJob {
  return {
    id: randomUUID(),
    machine: 'snapshot',
    status: 'queued',
    phase: 'TakeVm',
    request: { name: 'image', quiesce: 'never', metadata: {}, detached: false, force: false },
    pool: 'demo',
    vmUuid: randomUUID(),
    vmName: 'web-1',
    createdAt: '2026-01-01T00:00:00.000Z',
    deadline: '2099-01-07T00:00:00.000Z',
    ...fields,
  };
}

/** A restore as the store keeps it. */
export function aRestore(fields: Partial<RestoreJob> = {}): RestoreJob {
  return {
    id: randomUUID(),
    machine: 'restore',
    status: 'queued',
    phase: 'InspectImage',
    request: { image: randomUUID(), macs: 'auto', start: false, disksOnly: false },
    pool: 'demo',
    createdAt: '2026-01-01T00:00:00.000Z',
    deadline: '2099-01-07T00:00:00.000Z',
    ...fields,
  };
}
