/**
 * What the state machines, the Lambdas, the local engine and the CDK stack agree on: the steps in their order, what
 * each adds to the execution's state, and the error names on which a state machine routes. Imports nothing.
 */

/** How a step's Lambda is deployed, and how long it may run. */
export interface StepSettings {
  /** Seconds until Lambda ends it; the state's TimeoutSeconds lies above. */
  readonly lambdaSeconds: number;
  readonly memoryMib: number;
  /**
   * What it reaches beside the table: decides its place in the VPC and its rights. `glance` is Glance or the Keystone
   * that gives a token for it, and the secret of either.
   */
  readonly reaches: readonly ('pool' | 'glance')[];
  /** The key of the execution's state that its result is written to. */
  readonly writes: keyof StepResults | null;
}

/** One entry a step: the name of its state, of its file in functions/steps/ and of its Lambda. In the order of the ASL. */
export const STEPS = {
  TakeVm: { lambdaSeconds: 20, memoryMib: 256, reaches: [], writes: 'take' },
  InspectVm: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool'], writes: 'place' },
  ConfirmHost: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool'], writes: 'place' },
  UnlockVm: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool'], writes: null },
  StartSnapshot: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool'], writes: null },
  PollSnapshot: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool'], writes: 'snapshot' },
  AwaitCoalesce: { lambdaSeconds: 120, memoryMib: 1024, reaches: ['pool'], writes: 'coalesce' },
  StartUpload: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool', 'glance'], writes: null },
  PollUpload: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool'], writes: 'upload' },
  VerifyImage: { lambdaSeconds: 60, memoryMib: 512, reaches: ['glance'], writes: 'verified' },
  RotateBackups: { lambdaSeconds: 120, memoryMib: 512, reaches: ['glance'], writes: null },
  InspectImage: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool', 'glance'], writes: 'place' },
  CreateDisks: { lambdaSeconds: 120, memoryMib: 512, reaches: ['pool'], writes: null },
  StartDownload: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool', 'glance'], writes: null },
  PollDownload: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool'], writes: 'download' },
  CreateVm: { lambdaSeconds: 120, memoryMib: 512, reaches: ['pool'], writes: 'made' },
  SwapDisk: { lambdaSeconds: 120, memoryMib: 512, reaches: ['pool'], writes: 'swap' },
  FinishRestore: { lambdaSeconds: 120, memoryMib: 512, reaches: ['pool'], writes: null },
  TestVm: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool'], writes: 'test' },
  CancelUpload: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool'], writes: null },
  DiscardImage: { lambdaSeconds: 60, memoryMib: 512, reaches: ['glance'], writes: null },
  DestroySnapshot: { lambdaSeconds: 120, memoryMib: 512, reaches: ['pool'], writes: null },
  RelockVm: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool'], writes: null },
  CancelDownload: { lambdaSeconds: 60, memoryMib: 512, reaches: ['pool'], writes: null },
  SettleSwap: { lambdaSeconds: 120, memoryMib: 512, reaches: ['pool'], writes: null },
  DestroyVm: { lambdaSeconds: 120, memoryMib: 512, reaches: ['pool'], writes: null },
  DestroyDisks: { lambdaSeconds: 120, memoryMib: 512, reaches: ['pool'], writes: null },
  MarkImage: { lambdaSeconds: 60, memoryMib: 512, reaches: ['glance'], writes: null },
  ReleaseHost: { lambdaSeconds: 20, memoryMib: 256, reaches: [], writes: 'outcome' },
} as const satisfies Record<string, StepSettings>;

/**
 * Steps that a machine had in the last release and none has any more, renamed ones under their old names: jobs that run
 * call the versions of their Lambdas, which would go with them. They are deployed for one release more, with these
 * settings, as they were; of their code nothing is needed any more. Each goes from here in the release after.
 */
export const RETIRED_STEPS: Readonly<Record<string, StepSettings>> = {};

/** A step: a Lambda task of a state machine. */
export type StepName = keyof typeof STEPS;

/** A state machine's steps, as the two lines that its document has. */
interface Lines {
  /**
   * The steps that do the job, in their order: each begins only once all before it have ended well. Of a restore, either
   * CreateVm or SwapDisk is left out: neither has a fact that is certain.
   */
  readonly forward: readonly StepName[];
  /** The steps that failure and success both pass, in this order. They run although the job is closing. */
  readonly cleanup: readonly StepName[];
}

/**
 * The state machines, each by the name of its document, and of its jobs. A step that several have is one: one entry, one
 * file, one Lambda.
 */
export const MACHINES = {
  snapshot: {
    forward: [
      'TakeVm',
      'InspectVm',
      'ConfirmHost',
      'UnlockVm',
      'StartSnapshot',
      'PollSnapshot',
      'AwaitCoalesce',
      'StartUpload',
      'PollUpload',
      'VerifyImage',
      'RotateBackups',
    ],
    cleanup: ['CancelUpload', 'DiscardImage', 'DestroySnapshot', 'RelockVm', 'ReleaseHost'],
  },
  restore: {
    forward: [
      'InspectImage',
      'ConfirmHost',
      'CreateDisks',
      'StartDownload',
      'PollDownload',
      'CreateVm',
      'SwapDisk',
      // One or the other: it is kept, or it was a test.
      'FinishRestore',
      'TestVm',
    ],
    cleanup: ['CancelDownload', 'SettleSwap', 'DestroyVm', 'DestroyDisks', 'MarkImage', 'ReleaseHost'],
  },
} as const satisfies Record<string, Lines>;

export type MachineName = keyof typeof MACHINES;
type LinesOf<M extends MachineName> = (typeof MACHINES)[M];

/** The steps of a machine, and of its cleanup line. */
export type StepOf<M extends MachineName> = LinesOf<M>['forward' | 'cleanup'][number];
export type CleanupStepOf<M extends MachineName> = LinesOf<M>['cleanup'][number];

/** The machines that have a step. */
export type MachineOf<S extends StepName> = {
  [M in MachineName]: S extends StepOf<M> ? M : never;
}[MachineName];

/** The names of the facts that a step puts on the job's record. */
export interface StepFacts {
  /** The facts that are there once it has ended well. Later steps may need them, and nobody may take them back. */
  readonly certain: readonly string[];
  /** The facts that it writes only if there is something to write, or that may be taken back. */
  readonly possible: readonly string[];
}

/** Which step finds out what. The types of the facts are in functions/job.ts. */
export const FACTS = {
  TakeVm: { certain: [], possible: [] },
  InspectVm: {
    certain: [
      'startedAt',
      'group',
      'ticket',
      'vmRef',
      'vmName',
      'hostRef',
      'hostUuid',
      'hostName',
      'srRef',
      'srUuid',
      'device',
      'taggedDisks',
      'virtualBytes',
      'readsChain',
    ],
    possible: [],
  },
  ConfirmHost: { certain: [], possible: ['group', 'ticket', 'requeues', 'hostRef', 'hostUuid', 'hostName'] },
  UnlockVm: { certain: ['lockBefore', 'unlockedLive'], possible: [] },
  StartSnapshot: { certain: [], possible: ['snapshotSentAt', 'snapshotTask', 'quiesceFailure'] },
  PollSnapshot: {
    certain: ['templateRef', 'templateUuid', 'snapshotDisks', 'consistency'],
    possible: ['snapshotSentAt', 'snapshotTask', 'snapshotRetries', 'quiesceFailure'],
  },
  AwaitCoalesce: { certain: [], possible: [] },
  StartUpload: {
    certain: ['uploadAttempts', 'uploadStartedAt', 'firstUploadAt', 'bytesRead', 'bytesSent'],
    possible: ['described', 'uploadTask', 'earlierAttempt', 'secretUuid', 'hostAwaySince'],
  },
  PollUpload: {
    certain: [
      'sha512',
      'imageBytes',
      'vhds',
      'uploadSource',
      'bytesRead',
      'bytesSent',
      'bytesTotal',
      'etaSeconds',
    ],
    possible: [
      'readsChain',
      'chainChanges',
      'chainChangedAttempt',
      'chainChangedAt',
      'tokenRefused',
      'hostAwaySince',
    ],
  },
  VerifyImage: { certain: [], possible: [] },
  RotateBackups: { certain: [], possible: ['rotating'] },
  InspectImage: {
    certain: [
      'startedAt',
      'group',
      'ticket',
      'hostRef',
      'hostUuid',
      'hostName',
      'srRef',
      'srUuid',
      'readsAsZeros',
      'imageName',
      'imageFormat',
      'imageBytes',
      'imageSha512',
      'virtualBytes',
    ],
    possible: ['vmConfig'],
  },
  CreateDisks: { certain: ['diskRef', 'diskUuid'], possible: ['diskSentAt'] },
  StartDownload: {
    certain: ['uploadAttempts', 'uploadStartedAt', 'firstUploadAt', 'bytesRead'],
    possible: ['uploadTask', 'earlierAttempt', 'secretUuid', 'hostAwaySince'],
  },
  PollDownload: {
    certain: ['bytesRead', 'bytesTotal', 'bytesWritten', 'etaSeconds'],
    possible: ['vmConfig', 'tokenRefused', 'hostAwaySince', 'hostsLeft'],
  },
  CreateVm: { certain: [], possible: ['vmRef', 'restoredVmUuid', 'vmName', 'vmSentAt', 'restoredMacs'] },
  SwapDisk: { certain: [], possible: ['vmBefore', 'shutdownSince', 'shutdownTask', 'swapSentAt'] },
  FinishRestore: { certain: [], possible: ['swapSentAt'] },
  TestVm: { certain: [], possible: ['bootSentAt', 'bootTask', 'bootAnywhere', 'bootedAt'] },
  CancelUpload: { certain: [], possible: ['hostAwaySince'] },
  DiscardImage: { certain: [], possible: [] },
  DestroySnapshot: { certain: [], possible: ['templateRef', 'templateUuid', 'snapshotDisks'] },
  RelockVm: { certain: [], possible: ['relockAwaitsHost', 'hostAwaySince'] },
  CancelDownload: { certain: [], possible: ['hostAwaySince'] },
  SettleSwap: { certain: [], possible: ['swapSentAt'] },
  DestroyVm: { certain: [], possible: [] },
  DestroyDisks: { certain: [], possible: [] },
  MarkImage: { certain: [], possible: [] },
  ReleaseHost: { certain: [], possible: [] },
} as const satisfies Record<StepName, StepFacts>;

/** What an execution is started with; its name is the job's id as well. */
export interface JobInput {
  /** Random UUID: of the job, the Glance image and the execution. */
  readonly jobId: string;
}

/** The parts of the execution's state, each written by the steps that name it in {@link STEPS}. */
export interface StepResults {
  /** Whether this job has its VM; if not, how long to wait before the next look. */
  readonly take: { readonly taken: boolean; readonly waitSeconds: number };
  /** Where the job queues. `confirmed` once the granted host is known to be the right one. */
  readonly place: { readonly group: string; readonly ticket: string; readonly confirmed: boolean };
  /** `again`: the quiesced snapshot failed and a plain one is to be taken. */
  readonly snapshot: { readonly next: 'done' | 'wait' | 'again'; readonly waitSeconds: number };
  readonly coalesce: {
    readonly settled: boolean;
    readonly waitSeconds: number;
    /** UUIDs of the parents of the snapshot's disk at this look, nearest first. */
    readonly chain: readonly string[];
    /** Whether the coalescer may yet merge some of them, by the last scan. */
    readonly mergeable: boolean;
    /** When this wait began, and when the SR was last scanned; ISO 8601 UTC. */
    readonly since: string;
    readonly scannedAt: string;
    readonly scanFailed: boolean;
  };
  /**
   * `again`: the upload failed in a way that another try may mend. `coalesce`: the chain changed while it was read, and
   * the coalescer is to be waited for before the next try.
   */
  readonly upload: { readonly next: 'done' | 'wait' | 'again' | 'coalesce'; readonly waitSeconds: number };
  /**
   * `again`: the download failed in a way that another try may mend; `elsewhere`: one on another host. `swap`: done, and
   * for a VM that is there.
   */
  readonly download: {
    readonly next: 'done' | 'swap' | 'wait' | 'again' | 'elsewhere';
    readonly waitSeconds: number;
  };
  /** `wait`: the VM has not shut down yet. */
  readonly swap: { readonly next: 'done' | 'wait'; readonly waitSeconds: number };
  /** `test`: it is looked whether what was made comes up, and then it goes. */
  readonly made: { readonly test: boolean };
  /** `done`: the test has proved what it was to prove. */
  readonly test: { readonly next: 'done' | 'wait'; readonly waitSeconds: number };
  /** `backup`: older ones of its kind are to be replaced. */
  readonly verified: { readonly backup: boolean };
  readonly outcome: { readonly status: FinalStatus };
}

/** Final states of a job. */
export const FINAL_STATUSES = ['succeeded', 'failed', 'cancelled', 'skipped'] as const;
export type FinalStatus = (typeof FINAL_STATUSES)[number];

/** What a Catch writes: the error's name, and a JSON text with `errorMessage`. */
export interface Caught {
  readonly Error: string;
  readonly Cause: string;
}

/** The steps of a line that have surely ended when one of it starts. */
type Before<Line extends readonly unknown[], Step> = Line extends readonly [...infer Earlier, infer Last]
  ? Step extends Last
    ? Earlier[number]
    : Before<Earlier, Step>
  : never;

/** Which steps of a machine have surely ended when one starts; none for its cleanup line, entered from everywhere. */
type StepsBefore<S extends StepName, M extends MachineName> = Extract<
  Before<LinesOf<M>['forward'], S>,
  StepName
>;

/** What every member of a union of unions has, where each stands in a function's place for arguments. */
type InEach<Taking> = (Taking extends unknown ? Taking : never) extends (common: infer Common) => void
  ? Common
  : never;

type CertainOf<S extends StepName> = (typeof FACTS)[S]['certain'][number];

/** The facts that a step may write. */
export type FactOf<S extends StepName> = (typeof FACTS)[S]['certain' | 'possible'][number];

/** The facts that are surely on record when a step starts, whichever machine it runs in. */
export type FactBefore<S extends StepName> = Extract<
  InEach<{ [M in MachineOf<S>]: (facts: CertainOf<StepsBefore<S, M>>) => void }[MachineOf<S>]>,
  FactName
>;

/** Any fact on the record of a job, and those on which some step may rely. */
export type FactName = FactOf<StepName>;
export type CertainFact = CertainOf<StepName>;

type Written<S extends StepName> = Exclude<(typeof STEPS)[S]['writes'], null>;

/** The parts of the execution's state that are surely there when a step starts, whichever machine it runs in. */
type WrittenBefore<S extends StepName> = Extract<
  InEach<{ [M in MachineOf<S>]: (parts: Written<StepsBefore<S, M>>) => void }[MachineOf<S>]>,
  keyof StepResults
>;

/** The execution's state as a step receives it: what earlier steps wrote is certain, all else may be there. */
export type StateBefore<S extends StepName> = JobInput &
  Pick<StepResults, WrittenBefore<S>> &
  Partial<StepResults> & {
    readonly failure?: Caught;
    readonly rotationFailure?: Caught;
    readonly cleanupFailure?: Caught;
  };

/** What a step returns. */
export type ResultOf<S extends StepName> = (typeof STEPS)[S]['writes'] extends keyof StepResults
  ? StepResults[(typeof STEPS)[S]['writes'] & keyof StepResults]
  : Record<string, never> | undefined;

/** What QueueForHost puts into the queue, and queue/admit reads. */
export interface QueueMessage {
  readonly jobId: string;
  readonly ticket: string;
  readonly group: string;
  readonly taskToken: string;
}

/** Errors that end a job as `skipped` or `cancelled` rather than `failed`. */
export const OUTCOME_OF_ERROR: Readonly<Record<string, FinalStatus>> = {
  VmBusy: 'skipped',
  JobCancelled: 'cancelled',
  ImageDeleted: 'cancelled',
};

/**
 * Seconds until the next look at an upload: half of what is estimated to be left, so that the end is not missed by
 * much, and not below a small part of what it has taken so far, so that one that trickles at its end does not fill the
 * execution's history (25,000 events); within bounds.
 */
export function uploadWaitSeconds(
  etaSeconds: number,
  elapsedSeconds: number,
  bounds: { readonly uploadPollMinSeconds: number; readonly uploadPollMaxSeconds: number },
): number {
  const wished = Math.max(etaSeconds / 2, elapsedSeconds / 200, bounds.uploadPollMinSeconds);
  return Math.ceil(Math.min(wished, bounds.uploadPollMaxSeconds));
}
