import type { PowerState } from '../../../xapi/types.ts';
import type { Job } from '../../job.ts';

/** A server's state as Nova tells it (nova/api/openstack/common.py, nova/compute/power_state.py). */
export interface ServerState {
  readonly status: 'ACTIVE' | 'PAUSED' | 'SHUTOFF' | 'SUSPENDED';
  readonly vmState: 'active' | 'paused' | 'stopped' | 'suspended';
  readonly powerState: number;
}

export const STATES: Readonly<Record<PowerState, ServerState>> = {
  Running: { status: 'ACTIVE', vmState: 'active', powerState: 1 },
  Paused: { status: 'PAUSED', vmState: 'paused', powerState: 3 },
  Halted: { status: 'SHUTOFF', vmState: 'stopped', powerState: 4 },
  Suspended: { status: 'SUSPENDED', vmState: 'suspended', powerState: 7 },
};

export type TaskState =
  | 'image_backup'
  | 'image_snapshot_pending'
  | 'image_snapshot'
  | 'image_pending_upload'
  | 'image_uploading';

/**
 * Where a job is, in Nova's words. Until its snapshot is made a backup has one word for all (compute/manager.py);
 * while a job tidies up it is still uploading, as Nova's snapshot is destroyed before its task ends.
 */
export function taskStateOf({ phase, request }: Job): TaskState {
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
