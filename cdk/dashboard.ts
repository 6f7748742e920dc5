import { Duration } from 'aws-cdk-lib';
import {
  type Alarm,
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  type IMetric,
  Unit,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import { STEPS } from '../statemachine/contract.ts';
import type { Settings } from './config.ts';
import { metric } from './metrics.ts';
import type { Watched } from './watched.ts';

/** One page: what jobs do, how long it takes, what waits, and what is wrong. */
export function createDashboard(
  scope: Construct,
  { installation }: Settings,
  { hostQueue, entries, steps }: Watched,
  alarms: Alarm[],
): void {
  const sum = (name: Parameters<typeof metric>[1]) => metric(installation, name, 'Sum');
  const graph = (title: string, left: IMetric[], right: IMetric[] = []) =>
    new GraphWidget({ title, left, right, width: 12, height: 6 });
  const dashboard = new Dashboard(scope, 'Dashboard', { defaultInterval: Duration.days(1) });
  dashboard.addWidgets(new AlarmStatusWidget({ title: 'Alarms', alarms, width: 24, height: 4 }));
  dashboard.addWidgets(
    graph('Jobs by outcome', [sum('JobSucceeded'), sum('JobFailed'), sum('JobCancelled'), sum('JobSkipped')]),
    graph(
      'Restores by outcome; tests (right)',
      [sum('RestoreSucceeded'), sum('RestoreFailed'), sum('RestoreCancelled')],
      [sum('RestoreTestSucceeded'), sum('RestoreTestFailed')],
    ),
    graph('Bytes sent to Glance', [sum('BytesSent').with({ unit: Unit.BYTES })]),
  );
  dashboard.addWidgets(
    graph(
      'Seconds of each step',
      Object.keys(STEPS).map((step) =>
        metric(installation, 'StepSeconds', 'p90', { step }).with({ label: step }),
      ),
    ),
    graph(
      'Waiting for a host: messages, seconds of who waits longest (right)',
      [
        hostQueue.metricApproximateNumberOfMessagesVisible(),
        hostQueue.metricApproximateNumberOfMessagesNotVisible(),
      ],
      [metric(installation, 'WaitedSeconds', 'Maximum')],
    ),
  );
  dashboard.addWidgets(
    graph('Slots in use on the fullest host', [metric(installation, 'SlotsTaken', 'Maximum')]),
    graph('Left over', [
      sum('VmLeftUnlocked'),
      sum('JanitorFindings'),
      sum('PoolPaused'),
      sum('MalformedMessage'),
    ]),
  );
  dashboard.addWidgets(
    graph(
      'Errors of functions',
      [...entries, ...steps].map((each) => each.metricErrors({ label: each.node.id })),
    ),
    graph('Scheduled runs without a backup', [sum('BackupFailed'), sum('BackupSkipped')]),
    graph('Age of the oldest verified backup, hours', [
      metric(installation, 'VerifiedBackupAgeHours', 'Maximum'),
    ]),
  );
}
