import type { ImageFormat, Quiesce, TestPeriod } from '../words.ts';
import type { Timing } from './timing.ts';

/** A VM as a schedule remembers it. */
export interface ScheduledVm {
  readonly pool: string;
  readonly uuid: string;
  readonly name: string;
}

/** Which VMs a schedule is for, looked up each time that it is due: those that fit all that is given. */
export interface Selector {
  readonly tag?: string;
  readonly pool?: string;
  /** `*` stands for any characters. */
  readonly namePattern?: string;
}

/** Which of a schedule's backups are restored to prove that they can be. */
export interface RestoreTest {
  readonly every: TestPeriod;
  /** So many VMs each time: those that were tested the longest ago. */
  readonly sample: number;
  /** Whether the VM must come up, too. */
  readonly boot: boolean;
  /** UUID or name of the SR; where the VM's disk was, or the pool's default, if absent. */
  readonly sr?: string;
}

/** When backups are made of which VMs, and how many stay. Times are ISO 8601 UTC. */
export interface Schedule {
  readonly id: string;
  readonly name?: string;
  /** The caller's project, where the API is for projects: the backups are its, and only its VMs are backed up. */
  readonly project?: string;
  /** Who made it, and who changed it last. */
  readonly actor?: string;
  readonly changedBy?: string;
  /** Either one VM or those of a selector. */
  readonly vm?: ScheduledVm;
  readonly selector?: Selector;
  readonly timing: Timing;
  /** IANA name. */
  readonly timeZone: string;
  /** The window after each nominal time over which the VMs are spread. */
  readonly flexibleMinutes: number;
  readonly keep: number;
  readonly backupType: string;
  readonly quiesce: Quiesce;
  /** `vhd` if absent. */
  readonly format?: ImageFormat;
  /** Position of the disk to be imaged; the one that each VM boots from if absent. */
  readonly device?: string;
  readonly flatten?: boolean;
  readonly restoreTest?: RestoreTest;
  readonly enabled: boolean;
  /** Why xensnap itself has disabled it, in words for all callers. */
  readonly disabledReason?: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** From when a rate counts. */
  readonly anchor: string;
  /** Random, and new after each change by a caller: a tick does not write what it found out about an earlier revision. */
  readonly revision: string;
  /** The nominal time that is to be dealt with next; absent when disabled, or when no time is left. */
  readonly nextAt?: string;
  /** While some pool could not be asked for the VMs of `nextAt`: until when that is tried. */
  readonly askUntil?: string;
  /** From when the periods of its tests count, and the next of their nominal times. */
  readonly testAnchor?: string;
  readonly nextTestAt?: string;
  /** When a restore of one of its backups was proved last. */
  readonly provenAt?: string;
  /** The tick that has the schedule, and until when. */
  readonly claimedBy?: string;
  readonly claimedUntil?: string;
}
