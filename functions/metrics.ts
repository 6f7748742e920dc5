import { MetricUnit, Metrics as Powertools } from '@aws-lambda-powertools/metrics';

/** What is counted: once for each time that it happens. */
export type CountName =
  | 'JobSucceeded'
  | 'JobFailed'
  | 'JobCancelled'
  | 'JobSkipped'
  /** The same of restores. */
  | 'RestoreSucceeded'
  | 'RestoreFailed'
  | 'RestoreCancelled'
  | 'RestoreSkipped'
  /** Of tests; one that a schedule wanted and that could not be asked for has failed, too. */
  | 'RestoreTestSucceeded'
  | 'RestoreTestFailed'
  | 'RestoreTestCancelled'
  /** Schedules whose tests have proved nothing for too long: the maximum counts. */
  | 'RestoreTestsOverdue'
  /** A run of a schedule ended without a backup; each is counted once. */
  | 'BackupFailed'
  | 'BackupSkipped'
  /** A job has told its outcome but could not lock its VM again; counted at each try. */
  | 'VmLeftUnlocked'
  /** What the janitor found and removed, left or failed at; nothing of a dry run. */
  | 'JanitorFindings'
  /** A pool did not answer three times in a row: its line waits. Counted at each failure from then on. */
  | 'PoolPaused'
  | 'MalformedMessage'
  /** Slots of the host in use after each admission: the maximum is the fullest host's. */
  | 'SlotsTaken';

/** Few and bounded: each combination of values is a metric of its own, which is paid for. No UUID is a dimension. */
export type Dimensions = Readonly<Record<string, string>>;

/** Numbers for dashboards and alarms, in the namespace `xensnap`, each with the dimension `installation`. */
export interface Metrics {
  count(name: CountName, n?: number, dimensions?: Dimensions): void;
  /** WaitedSeconds: how long the head of a line has stood in it, at each look; the maximum is the longest wait. */
  seconds(name: 'StepSeconds' | 'WaitedSeconds', seconds: number, dimensions?: Dimensions): void;
  /** BytesSent: the size of an image whose upload has ended well. */
  bytes(name: 'BytesSent', bytes: number): void;
  /** VerifiedBackupAgeHours: of the scheduled VM whose last verified backup is the oldest. */
  hours(name: 'VerifiedBackupAgeHours', hours: number): void;
  /** The same metrics with these fields in every line, for whoever reads the log; they are no dimensions. */
  with(fields: Readonly<Record<string, string>>): Metrics;
}

type Unit = (typeof MetricUnit)[keyof typeof MetricUnit];

/** Metrics of a Lambda: a line of its log each, in CloudWatch's embedded metric format. */
export function lambdaMetrics(installation: string, fields: Readonly<Record<string, string>> = {}): Metrics {
  const powertools = new Powertools({ namespace: 'xensnap' });
  // Powertools would add `service`, under which the alarms would not find them.
  powertools.clearDefaultDimensions();
  powertools.setDefaultDimensions({ installation });
  const emit = (name: string, unit: Unit, value: number, dimensions: Dimensions = {}) => {
    for (const dimension of Object.entries(dimensions)) powertools.addDimension(...dimension);
    for (const field of Object.entries(fields)) powertools.addMetadata(...field);
    // Written at once, since a timeout would take away what waits for the invocation's end.
    powertools.addMetric(name, unit, value).publishStoredMetrics();
  };
  return {
    count: (name, n = 1, dimensions) => emit(name, MetricUnit.Count, n, dimensions),
    seconds: (name, seconds, dimensions) => emit(name, MetricUnit.Seconds, seconds, dimensions),
    bytes: (name, bytes) => emit(name, MetricUnit.Bytes, bytes),
    // CloudWatch has no hours.
    hours: (name, hours) => emit(name, MetricUnit.NoUnit, hours),
    with: (more) => lambdaMetrics(installation, { ...fields, ...more }),
  };
}

/** One metric as {@link collectMetrics} keeps it. */
export interface Measured {
  readonly name: string;
  readonly value: number;
  readonly dimensions: Dimensions;
  readonly fields: Readonly<Record<string, string>>;
}

/** Hands each metric to `take`; without it they go nowhere, as on one machine, where nobody reads them. */
export function collectMetrics(
  take: (measured: Measured) => void = () => {},
  fields: Readonly<Record<string, string>> = {},
): Metrics {
  const emit = (name: string, value: number, dimensions: Dimensions = {}) =>
    take({ name, value, dimensions, fields });
  return {
    count: (name, n = 1, dimensions) => emit(name, n, dimensions),
    seconds: emit,
    bytes: emit,
    hours: emit,
    with: (more) => collectMetrics(take, { ...fields, ...more }),
  };
}
