import type { PowerState } from '../../../xapi/types.ts';
import type { SnapshotJob } from '../../job.ts';

export const SERVER_STATUSES = ['ACTIVE', 'PAUSED', 'SHUTOFF', 'SUSPENDED'] as const;
export const VM_STATES = ['active', 'paused', 'stopped', 'suspended'] as const;

/** A server's state as Nova tells it (nova/api/openstack/common.py, nova/compute/power_state.py). */
export interface ServerState {
  readonly status: (typeof SERVER_STATUSES)[number];
  readonly vmState: (typeof VM_STATES)[number];
  readonly powerState: number;
}

export const STATES: Readonly<Record<PowerState, ServerState>> = {
  Running: { status: 'ACTIVE', vmState: 'active', powerState: 1 },
  Paused: { status: 'PAUSED', vmState: 'paused', powerState: 3 },
  Halted: { status: 'SHUTOFF', vmState: 'stopped', powerState: 4 },
  Suspended: { status: 'SUSPENDED', vmState: 'suspended', powerState: 7 },
};

export const TASK_STATES = [
  'image_backup',
  'image_snapshot_pending',
  'image_snapshot',
  'image_pending_upload',
  'image_uploading',
] as const;
export type TaskState = (typeof TASK_STATES)[number];

/**
 * Where a job is, in Nova's words. Until its snapshot is made a backup has one word for all (compute/manager.py);
 * while a job tidies up it is still uploading, as Nova's snapshot is destroyed before its task ends.
 */
export function taskStateOf({ phase, request }: SnapshotJob): TaskState {
  switch (phase) {
    case 'Requested':
    case 'TakeVm':
    case 'InspectVm':
    case 'QueueForHost':
    case 'ConfirmHost':
      return request.backup ? 'image_backup' : 'image_snapshot_pending';
    case 'UnlockVm':
    case 'StartSnapshot':
    case 'PollSnapshot':
      return request.backup ? 'image_backup' : 'image_snapshot';
    case 'AwaitCoalesce':
      return 'image_pending_upload';
    default:
      return 'image_uploading';
  }
}
