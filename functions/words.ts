import { FINAL_STATUSES } from '../statemachine/contract.ts';

/**
 * The words that requests, records, answers and the command line have in common. Each list is the only one of its kind:
 * types, the API's schemas and the choices of the command line are made from it.
 */

/** Whether the guest flushes its file systems before the snapshot; see docs/adr on quiesce. */
export const QUIESCE = ['never', 'prefer', 'require'] as const;
export type Quiesce = (typeof QUIESCE)[number];
export const DEFAULT_QUIESCE: Quiesce = 'never';

/** What an image is: a bundle of VHDs, as Nova's importer takes it, or the bare disk, which boots on any hypervisor. */
export const IMAGE_FORMATS = ['vhd', 'raw'] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];
export const DEFAULT_FORMAT: ImageFormat = 'vhd';

export const JOB_STATUSES = ['starting', 'queued', 'running', ...FINAL_STATUSES] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

/** How a job ended, as the end of a sentence about it. */
export function ended(status: JobStatus): string {
  return status === 'cancelled' || status === 'skipped' ? `was ${status}` : status;
}

/**
 * What a job has done that must be undone or proved finished before its VM is free again. In the order in which debts
 * are paid: what still reads goes first, what others wait for goes last.
 */
export const DEBTS = [
  'plugin',
  'image',
  'secret',
  'swap',
  'vm',
  'disk',
  'snapshot',
  'relock',
  'mark',
  'slot',
] as const;
export type Debt = (typeof DEBTS)[number];

/**
 * What a restored VM's interfaces get for MAC addresses: their own where no VM of any pool has them, and new ones else;
 * their own in any case; new ones.
 */
export const MAC_POLICIES = ['auto', 'keep', 'new'] as const;
export type MacPolicy = (typeof MAC_POLICIES)[number];
export const DEFAULT_MACS: MacPolicy = 'auto';

/**
 * How far a test of an image has come: its disk was written and proved whole; the VM started; the guest's tools were seen.
 */
export const REACHED = ['disk', 'started', 'tools'] as const;
export type Reached = (typeof REACHED)[number];

/** How often a schedule has some of its backups restored to prove that they can be. */
export const TEST_PERIODS = ['daily', 'weekly', 'monthly'] as const;
export type TestPeriod = (typeof TEST_PERIODS)[number];

/** What a job can wait for while nothing of it has failed: its time in the window, the VM, the pool, a slot of its host… */
export const WAITS = ['window', 'vm', 'pool', 'slot', 'coalescer', 'guest', 'host'] as const;
export type Wait = (typeof WAITS)[number];

/** What the image holds: what was on the disk at one instant, or what the guest had flushed for it. */
export const CONSISTENCIES = ['crash-consistent', 'quiesced'] as const;
export type Consistency = (typeof CONSISTENCIES)[number];

/** What the plugin reads: the chain's files, or what xapi exports, for which the disk is attached in dom0. */
export const UPLOAD_SOURCES = ['chain', 'export'] as const;
export type UploadSource = (typeof UPLOAD_SOURCES)[number];

/** What runs a pool. Only `xenapi` is implemented. */
export const DRIVERS = ['xenapi', 'libvirt'] as const;
export type Driver = (typeof DRIVERS)[number];
