import type { FactName, FactOf, MachineName, StepName, StepOf } from '../statemachine/contract.ts';
import type { Ref } from '../xapi/types.ts';
import type { Reason } from './errors.ts';
import type { Attachment } from './pool/exchange.ts';
import type {
  Consistency,
  Debt,
  ImageFormat,
  JobStatus,
  MacPolicy,
  Quiesce,
  Reached,
  UploadSource,
} from './words.ts';

/** Makes the image a backup, and says how many verified ones of its type the VM keeps. */
export interface Backup {
  /** Each type rotates by itself, as in Nova: `daily`, `weekly`, or any name. */
  readonly type: string;
  /** 0, as in Nova, leaves none of the type, not even the new one. */
  readonly keep: number;
}

/** The run of a schedule that a job is. With the VM it is the key that makes one backup of each run. */
export interface ScheduledRun {
  readonly scheduleId: string;
  /** The nominal time, ISO 8601 UTC. */
  readonly nominal: string;
  /** Of a run that is a test of a restore: which of those at that time, and the id of the image. */
  readonly test?: { readonly slot: number; readonly imageId: string };
}

/** What the caller asked for. */
export interface JobRequest {
  /** Name of the image. */
  readonly name: string;
  readonly quiesce: Quiesce;
  /** Custom image properties; none that Nova or xensnap reserve. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Refuses disks whose virtual size is larger. */
  readonly maxSizeGib?: number;
  /** The image does not carry the VM's UUID as `instance_uuid`. */
  readonly detached: boolean;
  /** Uploads without waiting for the coalescer, for an SR on which it is stuck. */
  readonly force: boolean;
  /** `vhd` if absent. */
  readonly format?: ImageFormat;
  /** Position of the disk that is to be imaged, where the caller has named it. */
  readonly device?: string;
  /** One VHD that xapi flattens, also where there is a chain of files to read. */
  readonly flatten?: boolean;
  /** Absent for a snapshot, which no rotation ever touches. */
  readonly backup?: Backup;
}

/** A VHD of the uploaded bundle; a raw image has none. */
export interface BundledVhd {
  readonly name: string;
  readonly uuid: string;
  readonly bytes: number;
}

/** What the caller of a restore asked for. */
export interface RestoreRequest {
  /** Id of the image. */
  readonly image: string;
  /** UUID or name of the SR; where the VM's disk was, or the pool's default, if absent. */
  readonly sr?: string;
  /** Name of the VM and of its disk; those that they had if absent. */
  readonly name?: string;
  /** By the device of an interface, the UUID or name of the network that it is to be on. */
  readonly networks?: Readonly<Record<string, string>>;
  readonly macs: MacPolicy;
  /** Starts the VM in the end. */
  readonly start: boolean;
  /** Makes the disk alone. */
  readonly disksOnly: boolean;
  /** Proves that the image can be restored, and destroys what was made; with `boot`, that the VM comes up, too. */
  readonly test?: boolean;
  readonly boot?: boolean;
}

/** The VM that is there and whose disk a restore exchanges, as the request found it. */
export interface IntoVm {
  readonly uuid: string;
  readonly name: string;
  /** Position of the disk, its UUID, and that of its SR. */
  readonly device: string;
  readonly diskUuid: string;
  readonly srUuid: string;
  /** Whether it may be asked to shut down. */
  readonly shutdown: boolean;
}

/** What a restore found in the VM when it came to exchange the disk: all that is needed to put it back. */
export interface VmBefore {
  readonly running: boolean;
  /** The attachment of the disk, and its UUID. */
  readonly attachment: Attachment;
  readonly vbdUuid: string;
  readonly disk: { readonly uuid: string; readonly name: string; readonly description: string };
}

/** What a request fixed, whatever it asked for. Times are ISO 8601 UTC. */
interface JobIdentity {
  readonly id: string;
  /** The caller's project, where the API is for projects. */
  readonly project?: string;
  /** Who asked for it; for a schedule's job, who changed the schedule last. */
  readonly actor?: string;
  /** A digest of everything that was asked for, where the request had an Idempotency-Key. */
  readonly requestDigest?: string;
  readonly pool: string;
  readonly createdAt: string;
  /** After this time a step gives up instead of trying again. */
  readonly deadline: string;
  /** Not to begin before: the VMs of a schedule are spread over its window. */
  readonly startAfter?: string;
  /** The schedule's run that asked for the job, if one did. */
  readonly run?: ScheduledRun;
}

/** What the request of a snapshot fixed. */
interface SnapshotIdentity extends JobIdentity {
  readonly machine: 'snapshot';
  readonly request: JobRequest;
  readonly vmUuid: string;
  /** The VM's name at the request; InspectVm notes the name that it has when the job begins. */
  readonly vmName: string;
  /** A job started by a schedule waits for its VM until then; one on demand has no such time. */
  readonly waitForVmUntil?: string;
}

/** What the request of a restore fixed. */
interface RestoreIdentity extends JobIdentity {
  readonly machine: 'restore';
  readonly request: RestoreRequest;
  /** Absent where it makes a VM or a disk of its own. */
  readonly into?: IntoVm;
}

/** Of what the tries of a state's step have failed since it last did its work, while another try is to come. */
export interface Retrying extends Reason {
  readonly state: StepName;
  /** How many have failed. */
  readonly failures: number;
  /** When the first of them did, and when the last did, whose reason this is. */
  readonly since: string;
  readonly at: string;
  /** When the next try begins at the latest. */
  readonly nextTryBy: string;
}

/** Who may do what with the job, and what became of it. Each is written by a method of the store that has its condition. */
export interface JobDecisions {
  readonly status: JobStatus;
  /** The step that runs or ran last. */
  readonly phase: StepName | 'QueueForHost' | 'Requested';
  readonly debts?: ReadonlySet<Debt>;
  /** Why what is owed could not be paid the last time; absent once it is. */
  readonly owesBecause?: string;
  /** Present until nothing is owed and the VM's lease is back: what the janitor looks at. */
  readonly open?: 'open';
  /** No step but those of the cleanup line may have an effect any more. */
  readonly closing?: boolean;
  readonly cancelRequested?: boolean;
  /** Who cancelled it. */
  readonly cancelledBy?: string;
  /**
   * It succeeds whatever follows: the image is verified and stays (excludes `discarding`), what was restored stays, or the
   * test has proved what it was to prove.
   */
  readonly committed?: boolean;
  /** When a test was committed, and how far it had come. */
  readonly provenAt?: string;
  readonly reached?: Reached;
  /** When it was: with the commit. */
  readonly verifiedAt?: string;
  /** The image's owner in Glance at that time. */
  readonly imageOwner?: string | null;
  /** When the image was found to be gone, or a rotation deleted it. */
  readonly imageGoneAt?: string;
  readonly discarding?: boolean;
  /** The disks of a committed restore into a VM are being exchanged back. */
  readonly undoing?: boolean;
  /** When they were. */
  readonly undoneAt?: string;
  /** When the disk that was kept of it was found to be gone, or destroyed by its explicit command. */
  readonly keptGoneAt?: string;
  /** When a call went out that destroys it, and got no answer. */
  readonly keptGoingAt?: string;
  /** The reconciler that has the job, and until when. */
  readonly claimedBy?: string;
  readonly claimedUntil?: string;
  /** While a step's Lambda runs: when it has surely ended. */
  readonly stepUntil?: string;
  /** A random id of the step that began last: writes of an earlier one are refused. */
  readonly fence?: string;
  /** Why it gets no further, while its step fails and is tried again. */
  readonly retrying?: Retrying;
  readonly ticketState?: 'waiting' | 'granted';
  /** Why it is being undone: what a forward step failed of, on record with the first step of the cleanup line. */
  readonly failure?: Reason;
  readonly finishedAt?: string;
  readonly error?: Reason;
  /** For operators, and the same in words for all callers. */
  readonly warnings?: readonly string[];
  readonly warningsForAll?: readonly string[];
  readonly xapiCalls?: number;
  /** How often a step of it has run. */
  readonly stepRuns?: number;
}

/**
 * What steps find out and put on record; which of them a step writes stands in the contract. Sizes are bytes. Refs are
 * handles only; the UUIDs are the identity.
 */
export interface Facts {
  readonly startedAt: string;
  /** `pool/host` whose line the job stands in, and its ticket there. */
  readonly group: string;
  readonly ticket: string;
  readonly requeues: number;

  readonly vmRef: Ref<'VM'>;
  readonly vmName: string;
  readonly hostRef: Ref<'host'>;
  readonly hostUuid: string;
  readonly hostName: string;
  readonly srRef: Ref<'SR'>;
  readonly srUuid: string;
  /** Position of the disk that is imaged, as xapi has it in `userdevice`. The request found it, and its size, before. */
  readonly device: string;
  readonly virtualBytes: number;
  /** Refs of the VM's disks that carry our tags, the root's first. */
  readonly taggedDisks: readonly Ref<'VDI'>[];
  /** Whether the plugin will read the disk's chain of files, and not what xapi exports. */
  readonly readsChain: boolean;
  /** `vm-data/allowvssprovider` as it was before the job; null when absent. */
  readonly lockBefore: string | null;
  /** Whether the guest's live key went too, or may have: not where it was paused when the VM was unlocked. */
  readonly unlockedLive: boolean;

  /** When the snapshot call went out; set before it goes, for it must never go twice. */
  readonly snapshotSentAt: string;
  readonly snapshotTask: Ref<'task'>;
  /** How often it was sent again because its task had failed of what passes by itself. */
  readonly snapshotRetries: number;
  readonly quiesceFailure: string;
  readonly templateUuid: string;
  readonly templateRef: Ref<'VM'>;
  /** UUIDs of the template's disks, the root's first. */
  readonly snapshotDisks: readonly string[];
  readonly consistency: Consistency;

  /** Whether the image says what VM it was. */
  readonly described: boolean;
  /** From here on, an upload is also what a restore has the plugin do the other way round. */
  readonly uploadTask: Ref<'task'>;
  readonly uploadAttempts: number;
  readonly uploadStartedAt: string;
  readonly firstUploadAt: string;
  /** What the plugin reads: the chain's files, or what xapi exports, for which the disk is attached in dom0. */
  readonly uploadSource: UploadSource;
  /** Since when the host does not say how the upload stands, or that it has ended, although it is asked. */
  readonly hostAwaySince: string;
  /** Whether the VM is locked in the database, but its running guest is that host's to lock. */
  readonly relockAwaitsHost: boolean;
  /** How often the chain changed under an upload, and the plugin's name of the try that last found so. */
  readonly chainChanges: number;
  readonly chainChangedAttempt: string;
  readonly chainChangedAt: string;
  /** `uploadStartedAt` of the try whose token Glance did not take: one may be revoked before it is used, but not each. */
  readonly tokenRefused: string;
  /** The plugin's name of the try before this one: how that ended is not how this one does. */
  readonly earlierAttempt: string;
  readonly secretUuid: string;
  readonly bytesRead: number;
  readonly bytesSent: number;
  readonly bytesTotal: number;
  readonly etaSeconds: number;
  readonly sha512: string;
  readonly imageBytes: number;
  /** Empty for a raw image. */
  readonly vhds: readonly BundledVhd[];

  readonly imageName: string;
  readonly imageFormat: ImageFormat;
  /** What Glance says of the image that is restored: exactly that is taken. Null where it has another hash. */
  readonly imageSha512: string | null;
  /** What the image says of its VM, as JSON that the reader of functions/vm-config.ts took. */
  readonly vmConfig: string;
  /** UUIDs of hosts that were being disabled: the plugin there is told to begin nothing more for this job. */
  readonly hostsLeft: readonly string[];
  /** Images that the job's rotation was about to delete: a try that comes after one that has does not see them any more. */
  readonly rotating: readonly string[];
  /** Whether new disks of the SR read as zeros, so that zeros need not be written. */
  readonly readsAsZeros: boolean;
  /** When the call went out that makes the disk, and the one that makes the VM. */
  readonly diskSentAt: string;
  readonly vmSentAt: string;
  readonly diskRef: Ref<'VDI'>;
  readonly diskUuid: string;
  /** Written to the disk so far. */
  readonly bytesWritten: number;
  readonly restoredVmUuid: string;
  /** What a restore into a VM found there; when it asked it to shut down, and by which task. */
  readonly vmBefore: VmBefore;
  readonly shutdownSince: string;
  readonly shutdownTask: Ref<'task'>;
  /** When the last call went out that takes a disk out of the VM or puts one in; absent where it was surely answered. */
  readonly swapSentAt: string;
  /** What became of the MAC addresses: kept as they were, or new ones. */
  readonly restoredMacs: 'kept' | 'new';
  /** When the VM of a test was first to start, the task of the last try, and whether that was on any host. */
  readonly bootSentAt: string;
  readonly bootTask: Ref<'task'>;
  readonly bootAnywhere: boolean;
  /** When it was first seen running. */
  readonly bootedAt: string;
}

/** The facts that a machine's steps find. */
type FactsOf<M extends MachineName> = Pick<Facts, FactOf<StepOf<M>>>;

/** The record of a snapshot, as it lies in the table: flat. */
export type SnapshotJob = SnapshotIdentity & JobDecisions & Partial<FactsOf<'snapshot'>>;

/** The record of a restore. */
export type RestoreJob = RestoreIdentity & JobDecisions & Partial<FactsOf<'restore'>>;

/** The record of one run of a state machine; `machine` says of which. */
export type Job = SnapshotJob | RestoreJob;

/** The jobs of a machine. */
export type JobOf<M extends MachineName> = Extract<Job, { readonly machine: M }>;

/** A job whose record surely has these facts. */
export type JobWith<F extends FactName, J extends Job = Job> = J & Pick<Facts, F>;

export function isSnapshot(job: Job): job is SnapshotJob {
  return job.machine === 'snapshot';
}

/** A restore into a VM that has begun to exchange its disk. */
export type SwappedJob = RestoreJob & { readonly into: IntoVm; readonly vmBefore: VmBefore };

export function isSwapped(job: RestoreJob): job is SwappedJob {
  return job.into !== undefined && job.vmBefore !== undefined;
}

/** The VM that the job has to itself, by its UUID; undefined for a restore that makes its own. */
export function leasedVm(job: Job): string | undefined {
  return isSnapshot(job) ? job.vmUuid : job.into?.uuid;
}

/** What the job is of, for messages. */
export function nameOf(job: Job): string {
  return isSnapshot(job) ? `the VM "${job.vmName}"` : `the image ${job.request.image}`;
}

/** The job as it was read again, or as it was where it is no longer there. */
export function orAsItWas<J extends Job>(now: Job | undefined, before: J): J {
  // A job never becomes one of another machine.
  return now?.machine === before.machine ? (now as J) : before;
}

/** The label of a job's snapshot template: whoever finds it has found the job. */
export function snapshotLabel(jobId: string): string {
  return `xensnap-${jobId}`;
}

/** The job's id in such a label; undefined for any other name. */
export function jobOfLabel(label: string): string | undefined {
  return /^xensnap-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/.exec(label)?.[1];
}

/** A request for a VM that another job had left a record, so that nothing is lost; its caller was told of no job. */
export function wasRefused({ phase, error }: Pick<Job, 'phase' | 'error'>): boolean {
  return phase === 'Requested' && error?.name === 'SnapshotInProgress';
}

/** Whether the job has told its outcome. It may still owe something. */
export function isFinished(job: Job): boolean {
  return job.finishedAt !== undefined;
}
