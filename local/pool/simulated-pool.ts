import type { LocalClock } from '../clock.ts';
import type { VmSpec } from './build/add-vm.ts';
import type { NetworkSpec } from './build/network.ts';
import type { Backup } from './database/database.ts';
import type { ReleaseName } from './database/release.ts';
import type { Row } from './database/value.ts';
import type { Fault } from './faults.ts';
import type { VmHandle } from './handle.ts';
import type { PoolInventory } from './inventory.ts';
import type { NewDiskFormat } from './sm/types.ts';
import type { CallLogEntry, Certificate, Host } from './state.ts';

export interface PoolOptions {
  /** Folder for the SRs' files and the models; made if missing. */
  readonly dataDir: string;
  /** Installed as `glance` in every control domain, executable; none if left out. */
  readonly pluginFile?: string;
  /** 2 by default; the first is the master. */
  readonly hosts?: number;
  /** Demo VMs: 6 of 64 MiB. */
  readonly vms?: number;
  readonly diskMib?: number;
  /** Networks beside the one for management. */
  readonly networks?: readonly NetworkSpec[];
  /** The master's, 0 for any; with one given, members take the following. */
  readonly port?: number;
  readonly username?: string;
  /** Random if left out. */
  readonly password?: string;
  /** Which fields and calls there are, and what they do otherwise from release to release; `today` if left out. */
  readonly release?: ReleaseName;
  /** True is the release `xenserver-7`, where `VM.snapshot_with_quiesce` works. */
  readonly quiesce?: boolean;
  readonly clock?: LocalClock;
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Keeps a raw model of every disk, frozen where the disk is: see `modelPath`. */
  readonly keepModels?: boolean;
  /** Whether the running guests go on writing by themselves; true by default. */
  readonly guestWrites?: boolean;
  /** How long after `VM.start` a guest's agent reports, where there is a system with one on its disk: 40. */
  readonly guestBootSeconds?: number;
  /** How long `VM.start` takes until there is a domain: 2. */
  readonly vmStartSeconds?: number;
  /** How long a control domain's disk that somebody has open is waited for at its unplug: 120. */
  readonly tapdiskCloseSeconds?: number;
  /** How long a guest takes to shut down, once it was asked: 2. */
  readonly guestShutdownSeconds?: number;
  /** Each host's memory: 64. */
  readonly hostMemoryGib?: number;
  /** How long a failed login takes; as the release has it if left out. */
  readonly failedLoginSeconds?: number;
  /** How long the coalescer waits before it begins: 300. */
  readonly gcQuietSeconds?: number;
  /** How long it rests after each step: 5. */
  readonly gcPairSeconds?: number;
}

export interface PoolHost extends Readonly<Pick<Host, 'ref' | 'uuid' | 'name' | 'dom0Root' | 'isMaster'>> {
  readonly url: string;
}

export interface SimulatedPool {
  /** The master's. */
  readonly url: string;
  readonly memberUrls: string[];
  readonly username: string;
  readonly password: string;
  readonly hosts: readonly PoolHost[];
  /** The SRs that every pool has, and those that VMs asked for. */
  readonly srs: readonly {
    readonly ref: string;
    readonly uuid: string;
    readonly name: string;
    readonly folder: string;
  }[];
  /** VMs proper: no templates, snapshots, control domains. */
  vms(): VmHandle[];
  /** @throws Error when there is none or more than one of the name */
  vm(nameOrUuid: string): VmHandle;
  addVm(spec: VmSpec): Promise<VmHandle>;
  /** Every call that came, in order. */
  readonly calls: CallLogEntry[];
  readonly faults: { add(fault: Fault): () => void };
  /** False: all hosts cut their connections and refuse new ones; the control domains' sockets stay. */
  setReachable(reachable: boolean): Promise<void>;
  inventory(): Promise<PoolInventory>;
  /** Waits until no plugin runs, but not longer: one that has written its result takes a moment to exit. */
  pluginsEnded(seconds: number): Promise<void>;
  /** UUIDs of the base copies by SR UUID. */
  baseCopies(): Record<string, string[]>;
  /** A record by reference, without a session. */
  record(className: string, ref: string): Row;
  /** All records of a class by reference. */
  records(className: string): Record<string, Row>;
  /** The raw file that the VDI must read as; only with `keepModels`. */
  modelPath(vdiUuid: string): string;
  installPlugin(hostUuid: string, file: string | null): Promise<void>;
  /**
   * `live: false` takes a host's power: its plugins are killed, calls that wait for it end as CANNOT_CONTACT_HOST, new
   * ones as HOST_OFFLINE, and its VMs stay Running in the database; `live: true` boots it, which finds its VMs halted.
   * One that `hangs` never answers, its plugins are stopped, and after ten minutes it counts as not live; `hangs: false`
   * lets all of that go on.
   */
  setHost(
    hostUuid: string,
    state: { readonly enabled?: boolean; readonly live?: boolean; readonly hangs?: boolean },
  ): Promise<void>;
  /** Takes a member out of the pool, dead or alive: its record goes, and its VMs are halted. */
  ejectHost(hostUuid: string): Promise<void>;
  /**
   * A full SR refuses snapshots, merges and new disks, and a thin one what a plugin writes to a disk's device from then
   * on; a number is what is free, in bytes. Its folder still takes hard links. xapi hears of it with the next scan.
   */
  fillSr(srUuid: string, full: boolean | number): Promise<void>;
  /** What the SR makes of new disks from now on; VHD at first. An SR of raw ones does not say `use_vhd` of itself. */
  setNewDisks(srUuid: string, format: NewDiskFormat): void;
  /** The SR's next snapshot of a disk fails when the disk itself has its new file already, and the snapshot none. */
  failSnapshotHalfWay(srUuid: string): void;
  /** Lets the SR's coalescer do all that there is, without its quiet times. */
  coalesceNow(srUuid: string): Promise<void>;
  /**
   * Lets it do one step and hold there, with the locks that it has: `block allocated`, `leaf renamed` (gc.ts has them
   * all), or nothing when it has ended. One that is at work by itself is taken over where it is.
   */
  stepCoalescer(srUuid: string): Promise<string | undefined>;
  /** Whether the SR's lock is held: by a coalescer that was left in such a step, everybody else waits for good. */
  isSrLocked(srUuid: string): boolean;
  /** Ends it where it is, as a crash of its host would; the next run finds what it left half done. */
  interruptCoalescer(srUuid: string): Promise<void>;
  /** Puts a file into the SR's folder, as somebody else would; answers its path. */
  plantFile(srUuid: string, name: string, bytes: Uint8Array): Promise<string>;
  setPbdPlugged(hostUuid: string, srUuid: string, plugged: boolean): Promise<void>;
  /**
   * xapi restarts on the master, or on a member: its connections are cut, and plugins run on. With the master's go all
   * sessions and all tasks, finished ones too; with a member's the incomplete tasks that it worked on. What these were
   * doing is done nevertheless.
   */
  restartXapi(hostUuid?: string): Promise<void>;
  /**
   * A member becomes the master, while the old one is dead or goes on as a member. All sessions and tasks are gone, and
   * with `database` every write since that was backed up.
   */
  failOver(
    hostUuid: string,
    how: { readonly oldMaster: 'dead' | 'member'; readonly database?: Backup },
  ): Promise<void>;
  /** The database as it is now, as a master writes it to disk from time to time. */
  backUpDatabase(): Backup;
  /** All hosts show this certificate to new connections from now on. */
  renewCertificate(certificate: Certificate): void;
  /** Ends plugins, servers and guests, and removes the control domains' folders; `dataDir` stays. */
  close(): Promise<void>;
}
