/** What the API answers, as far as the command line reads it. `--json` prints all of it. */

export interface JobView {
  readonly id: string;
  readonly status: 'starting' | 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'skipped';
  /** The step that runs or ran last. */
  readonly phase: string;
  /** 0 to 100. */
  readonly progress: number;
  /** Uncompressed, of `bytesTotal`. */
  readonly bytesRead: number | null;
  /** Compressed. */
  readonly bytesSent: number | null;
  readonly bytesTotal: number | null;
  readonly etaSeconds: number | null;
  readonly vm: { readonly uuid: string; readonly name: string };
  readonly pool: string;
  readonly host: string | null;
  readonly imageId: string | null;
  readonly imageName: string;
  /** Position of the disk that is imaged. */
  readonly device: string | null;
  /** `keystone:<user>@<project id>`, `jwt:<sub>`, `iam:<arn>` or `local`. */
  readonly requestedBy: string | null;
  readonly cancelledBy: string | null;
  readonly consistency: string | null;
  readonly warnings: readonly string[];
  readonly error: { readonly name: string; readonly message: string } | null;
  /** ISO 8601, as all times. */
  readonly createdAt: string;
  readonly finishedAt: string | null;
  readonly sizeBytes: number | null;
  readonly sha512: string | null;
  readonly vhds: readonly { readonly name: string; readonly uuid: string; readonly bytes: number }[];
  readonly xapiCalls: number;
  /** In AWS; null while it runs. */
  readonly cost: { readonly usd: number; readonly transitions: number; readonly pricesOf: string } | null;
  /** What is still to be undone. */
  readonly owes: readonly string[];
}

export interface JobPage {
  readonly snapshots: readonly JobView[];
  readonly next: string | null;
}

export interface VmView {
  readonly uuid: string;
  readonly name: string;
  readonly pool: string;
  readonly powerState: string;
  readonly host: string | null;
  readonly rootDiskBytes: number | null;
  /** Position of that disk; null where it is in doubt. */
  readonly rootDevice: string | null;
  readonly job: string | null;
}

export interface HostView {
  readonly uuid: string;
  readonly name: string;
  readonly pool: string;
  readonly slots: number;
  readonly holders: readonly string[];
  readonly waiting: number;
}

export interface JanitorReport {
  readonly dryRun: boolean;
  readonly findings: readonly {
    readonly kind: string;
    readonly pool?: string | undefined;
    readonly id: string;
    readonly what: string;
    readonly action: string;
  }[];
}

export interface ScheduleView {
  readonly id: string;
  readonly name: string | null;
  readonly vm: { readonly pool: string; readonly uuid: string; readonly name: string } | null;
  /** Tag, pool and name pattern, as far as they are given. */
  readonly selector: Readonly<Record<string, string | undefined>> | null;
  readonly cron?: string | undefined;
  readonly rate?: string | undefined;
  readonly daily?: { readonly window?: string | undefined; readonly at?: string | undefined } | undefined;
  readonly weekly?:
    | { readonly day: string; readonly window?: string | undefined; readonly at?: string | undefined }
    | undefined;
  readonly timeZone: string;
  readonly flexibleMinutes: number;
  readonly keep: number;
  readonly backupType: string;
  readonly quiesce: string;
  readonly format: string;
  readonly device: string | null;
  readonly flatten: boolean;
  readonly enabled: boolean;
  readonly disabledReason: string | null;
  readonly requestedBy: string | null;
  readonly changedBy: string | null;
  readonly nextRuns: readonly string[];
}

export interface SchedulePage {
  readonly schedules: readonly ScheduleView[];
  readonly next: string | null;
}

interface Reason {
  readonly name: string;
  readonly message: string;
}

interface Backup {
  readonly imageId: string;
  readonly verifiedAt: string;
}

interface ReportedVm {
  readonly name: string;
  readonly pool: string;
  readonly uuid: string;
  readonly lastBackup: Backup | null;
  /** Newer ones that are not there any more; `message` says so of each. */
  readonly lost: readonly { readonly message: string }[];
  readonly lookedAt: string | null;
}

export interface ReportView {
  readonly date: string;
  readonly summary: {
    readonly ok: boolean;
    readonly failed: number;
    readonly missed: number;
    readonly overdue: number;
    readonly lost: number;
  };
  readonly runs: readonly {
    readonly nominal: string;
    readonly vm: { readonly name: string } | null;
    readonly backupType: string;
    readonly jobId: string | null;
    readonly state: string;
    readonly reason: Reason | null;
  }[];
  readonly snapshots: readonly {
    readonly jobId: string;
    readonly createdAt: string;
    readonly vm: { readonly name: string };
    readonly backupType: string | null;
    readonly status: string;
    readonly reason: Reason | null;
  }[];
  readonly vms: readonly (ReportedVm & { readonly ageHours: number; readonly overdue: boolean })[];
  readonly unprotected: readonly ReportedVm[];
  readonly due: readonly { readonly at: string; readonly name: string | null; readonly scheduleId: string }[];
  /** How many of each list had no room. */
  readonly omitted: Readonly<Record<string, number>>;
  readonly gaps: readonly { readonly what: string; readonly reason: Reason }[];
}

export interface RetentionView {
  readonly keep: number;
  readonly backupType: string;
  readonly vms: readonly {
    readonly name: string;
    readonly images: readonly {
      readonly id: string;
      readonly verifiedAt: string | null;
      readonly sizeBytes: number | null;
      readonly action: string;
      readonly why: string;
    }[];
  }[];
  readonly unasked: readonly { readonly pool: string | null; readonly reason: Reason }[];
}
