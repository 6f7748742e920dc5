import type { EventEmitter } from 'node:events';
import type { LocalClock } from '../clock.ts';
import type { Database } from './database/database.ts';
import type { Release } from './database/release.ts';
import type { Faults } from './faults.ts';
import type { Lock } from './lock.ts';
import type { PluginProcess } from './plugin-process.ts';
import type { Collector } from './sm/collector.ts';
import type { Models } from './sm/models.ts';
import type { NewDiskFormat, SrType } from './sm/types.ts';

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** A listening server of one host, on its network port or its control domain's socket. */
export interface Listener {
  readonly port: number;
  /** Cuts every connection and refuses new ones. */
  stop(): Promise<void>;
  /** Listens again where it did. */
  start(): Promise<void>;
  /** New connections are shown this certificate; those that are open stay. */
  renew(certificate: Certificate): void;
}

/** What holds up everything on a host that hangs. */
export interface Hang {
  readonly since: Date;
  readonly over: Promise<void>;
  readonly end: () => void;
  /** The guests that were writing. */
  readonly guests: readonly Guest[];
}

/**
 * How the guest's VSS answers a quiesced snapshot: `half` takes its snapshot and then reports an error, `silent` never
 * reads the request, `none` has no agent that could.
 */
export const VSS = ['works', 'half', 'silent', 'timeout', 'none'] as const;

export type Vss = (typeof VSS)[number];

/** A running or paused domain: what lives in xenstore and not in the database. */
export interface Guest {
  /** Its xenstore keys, below its domain's path. */
  readonly xenstore: Map<string, string>;
  vss: Vss;
  /** Set once the system on its disk has come up. */
  booted: boolean;
  writing: boolean;
  /** The writes under way, or the last ones. */
  burst?: Promise<void>;
}

/**
 * The folder behind an SR: the mount of its hosts and, if shared, the export of its server. Of an SR of the LVM family it
 * stands for the volume group, and its files for logical volumes, which no control domain sees as files.
 */
export interface Storage {
  readonly ref: string;
  readonly uuid: string;
  readonly type: SrType;
  readonly folder: string;
  /** What new VHDs and the coalescer find; hard links need none. Infinite unless a test says otherwise. */
  freeBytes: number;
  /** What new disks are. */
  newDisks: NewDiskFormat;
  /** The next snapshot finds no space for its second child (sm's own fault point FileSR_fail_snap2). */
  failsSnapshotHalfWay: boolean;
  /** The coalescer's process: one for an SR. */
  collector: Collector | undefined;
  /**
   * UUIDs of the disks that are QCOW2. Nobody but the pool reads such a file, which is laid out as a VHD is: what matters
   * of its format is that it is not to be found as a VHD.
   */
  readonly qcow2: Set<string>;
  /** The SR's lock of sm: scans, snapshots, destruction, and of the coalescer's work what moves files and records. */
  readonly chains: Lock;
  /** Locks by VDI UUID, held while a disk is written to or its file is moved. */
  readonly disks: Map<string, Lock>;
  /** The locks of paused disks by VDI UUID, held while blktap has paused the disk. */
  readonly paused: Map<string, Disposable>;
}

/** One host of the pool. */
export interface Host {
  readonly ref: string;
  readonly uuid: string;
  readonly name: string;
  /** The root folder of its control domain. */
  readonly dom0Root: string;
  isMaster: boolean;
  /** Its network port and its control domain's socket. */
  readonly listeners: Listener[];
  /** Aborted when it dies; a new one when it boots again. */
  power: AbortController;
  /** While it hangs. */
  hang: Hang | undefined;
}

/** One call as the pool got it, the failed and the cut off included. */
export interface CallLogEntry {
  readonly at: Date;
  /** The host's name. */
  readonly host: string;
  /** Over the network, or over the control domain's unix socket. */
  readonly channel: 'tcp' | 'unix';
  readonly method: string;
  /** Passwords, session references and secrets are masked. */
  readonly args: unknown[];
  /** The session's originator, or the one a login names. */
  readonly originator: string;
  error?: string;
}

export interface PoolSettings {
  readonly username: string;
  readonly password: string;
  readonly release: Release;
  readonly failedLoginSeconds: number;
  readonly gcQuietSeconds: number;
  readonly gcPairSeconds: number;
  /** Whether guests write by themselves from the start. */
  readonly guestWrites: boolean;
  readonly guestBootSeconds: number;
  readonly vmStartSeconds: number;
  readonly tapdiskCloseSeconds: number;
  readonly guestShutdownSeconds: number;
}

/** All that the simulated pool consists of. */
export interface PoolState {
  /** The folder that outlives the pool: the SRs' files and the models. */
  readonly dataDir: string;
  readonly db: Database;
  readonly clock: LocalClock;
  readonly settings: PoolSettings;
  readonly hosts: Host[];
  /** The running and paused domains by VM reference. */
  readonly guests: Map<string, Guest>;
  /** The SRs' storage by SR reference. */
  readonly storage: Map<string, Storage>;
  readonly models: Models;
  readonly faults: Faults;
  readonly calls: CallLogEntry[];
  /** The running plugins, with the host that each runs on. */
  readonly plugins: Map<PluginProcess, Host>;
  /** `VM/<ref>` and the like, when an operation on the object has ended. */
  readonly released: EventEmitter;
  /** Aborted when the pool is closed. */
  readonly stopped: AbortSignal;
}

/** What a call's implementation knows of its caller. */
export interface Context {
  readonly pool: PoolState;
  /** The host that the call came to. */
  readonly host: Host;
  readonly session: string;
  /** The call's task; NULL for calls that have none. */
  readonly task: string;
}
