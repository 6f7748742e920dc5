/** Every error that a caller or a job can end with, and the HTTP status with which the API answers it. */
export const ERROR_STATUS = {
  BadRequest: 400,
  MetadataReserved: 400,
  VmIsTemplate: 400,
  VmIsSnapshot: 400,
  VmIsControlDomain: 400,
  VmHasNoDisk: 400,
  DiskFormatUnsupported: 400,
  StorageUnsupported: 400,
  Unauthorized: 401,
  Forbidden: 403,
  QuotaExceeded: 403,
  ImageNotFound: 404,
  JobNotFound: 404,
  NotFound: 404,
  PoolNotFound: 404,
  ScheduleNotFound: 404,
  VmNotFound: 404,
  JobCommitted: 409,
  JobFinished: 409,
  IdempotencyConflict: 409,
  ImageNotRestorable: 409,
  QuiesceNotSupported: 409,
  RestoreConflict: 409,
  RootDiskAmbiguous: 409,
  SnapshotInProgress: 409,
  StillOwed: 409,
  StorageFull: 409,
  StorageNotAttached: 409,
  VmChanged: 409,
  VmGone: 409,
  VmNameAmbiguous: 409,
  VmNotHalted: 409,
  DiskTooLarge: 413,
  DriverNotImplemented: 501,
  GlanceBadRequest: 502,
  GlanceCertificateMismatch: 502,
  GlanceConflict: 502,
  GlanceForbidden: 502,
  GlanceNotFound: 502,
  GlanceTooLarge: 413,
  GlanceUnauthorized: 502,
  GlanceUnavailable: 502,
  HostUnreachable: 503,
  KeystoneCertificateMismatch: 502,
  KeystoneUnauthorized: 502,
  KeystoneUnavailable: 502,
  PluginMissing: 503,
  PluginTooOld: 503,
  PoolCertificateMismatch: 503,
  PoolLoginRefused: 503,
  PoolPermissionDenied: 503,
  PoolUnreachable: 503,
  SecretUnusable: 503,
  ServiceUnavailable: 503,
  ImageCorrupt: 500,
  ImageDamaged: 500,
  ImageDeleted: 500,
  Internal: 500,
  Interrupted: 500,
  JobCancelled: 500,
  JobClosing: 500,
  JobUnknown: 500,
  PluginFailure: 500,
  QuiesceFailed: 500,
  ShutdownFailed: 500,
  SnapshotChainTooLong: 500,
  SnapshotFailed: 500,
  SnapshotLost: 500,
  RestoreFailed: 500,
  RestoreTestFailed: 500,
  Throttled: 503,
  TimedOut: 500,
  UploadFailed: 500,
  VmBusy: 500,
  XapiBusy: 503,
  XapiFailure: 500,
  XapiReplyLost: 503,
} as const;

export type ErrorName = keyof typeof ERROR_STATUS;

/** Reasons that only runs of schedules have (functions/schedules); no job and no answer ends with one. */
export const RUN_REASONS = ['RunMissed', 'NothingSelected', 'ScheduleRemoved', 'ScheduleDisabled'] as const;
export type RunReasonName = (typeof RUN_REASONS)[number];

/** Why something failed or was left out, as it is on record: one of the names above, and a message for the operator. */
export interface Reason {
  readonly name: string;
  readonly message: string;
}

/**
 * A reason under a documented name: one that nobody has documented (a service's own, JavaScript's) stands in the message.
 * @param otherwise the name that it then has
 */
export function documented({ name, message }: Reason, otherwise: ErrorName = 'Internal'): Reason {
  if (Object.hasOwn(ERROR_STATUS, name)) return { name, message };
  return { name: otherwise, message: `${message} (${name})` };
}

/** An error of ours. The state machine and the API route on `name`; `message` is for the operator. */
export class XensnapError extends Error {
  override readonly name: ErrorName;
  /** What an API answer carries beside name and message, such as the candidates of an ambiguous name. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    name: ErrorName,
    message: string,
    options: ErrorOptions & { details?: Record<string, unknown> } = {},
  ) {
    super(message, options);
    this.name = name;
    this.details = options.details ?? {};
  }
}

/** Whether `error` is ours and has this name. */
export function isNamed(error: unknown, name: ErrorName): boolean {
  return error instanceof Error && error.name === name;
}
