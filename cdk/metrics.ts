import { Duration } from 'aws-cdk-lib';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { CountName } from '../functions/metrics.ts';

/** What the functions write, as alarms and the dashboard read it: namespace `xensnap`, dimension `installation`. */
export type MetricName = CountName | 'BytesSent' | 'StepSeconds' | 'WaitedSeconds' | 'VerifiedBackupAgeHours';

/** A metric of an installation over five minutes. */
export function metric(
  installation: string,
  metricName: MetricName,
  statistic: string,
  dimensions: Readonly<Record<string, string>> = {},
): Metric {
  return new Metric({
    namespace: 'xensnap',
    metricName,
    statistic,
    period: Duration.minutes(5),
    dimensionsMap: { installation, ...dimensions },
  });
}
