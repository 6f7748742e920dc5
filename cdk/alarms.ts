import { ArnFormat, Duration, Stack } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import type { Settings } from './config.ts';
import { metric } from './metrics.ts';
import { stepErrors, throttles } from './sums.ts';
import type { Sign, Watched } from './watched.ts';

/** The topic, and every alarm with the topic as its action. */
export function createAlarms(
  scope: Construct,
  settings: Settings,
  watched: Watched,
): { topic: Topic; alarms: Alarm[] } {
  const topic = new Topic(scope, 'AlarmTopic', { enforceSSL: true });
  letAlarmsPublish(topic);
  if (settings.alarmEmail !== undefined) topic.addSubscription(new EmailSubscription(settings.alarmEmail));
  const alarms = Object.entries(signs(settings, watched)).map(([name, sign]) => {
    const alarm = new Alarm(scope, name, {
      alarmDescription: sign.description,
      metric: sign.metric,
      threshold: sign.above,
      comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: 1,
      // Nothing is written while nothing happens.
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    alarm.addAlarmAction(new SnsAction(topic));
    alarm.addOkAction(new SnsAction(topic));
    return alarm;
  });
  return { topic, alarms };
}

/** A topic with a policy of its own has none of SNS's default one, by which the account's alarms may publish. */
function letAlarmsPublish(topic: Topic): void {
  const stack = Stack.of(topic);
  const alarms = stack.formatArn({
    service: 'cloudwatch',
    resource: 'alarm',
    resourceName: '*',
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
  topic.addToResourcePolicy(
    new PolicyStatement({
      principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
      actions: ['sns:Publish'],
      resources: [topic.topicArn],
      conditions: {
        StringEquals: { 'aws:SourceAccount': stack.account },
        ArnLike: { 'aws:SourceArn': alarms },
      },
    }),
  );
}

function signs({ installation, alarmHours }: Settings, watched: Watched): Record<string, Sign> {
  const sum = (name: Parameters<typeof metric>[1]) => metric(installation, name, 'Sum');
  // Told every fifteen minutes for as long as it is so. Over five minutes an alarm would end, and begin again, each time.
  const lasting = (name: Parameters<typeof metric>[1], statistic: 'Sum' | 'Maximum') =>
    metric(installation, name, statistic).with({ period: Duration.minutes(30) });
  return {
    JobFailed: { metric: sum('JobFailed'), above: 0, description: 'A snapshot job failed.' },
    RestoreFailed: { metric: sum('RestoreFailed'), above: 0, description: 'A restore failed.' },
    RestoreTestFailed: {
      metric: sum('RestoreTestFailed'),
      above: 0,
      description: 'A backup could not be restored for a test of it.',
    },
    RestoreTestOverdue: {
      metric: lasting('RestoreTestsOverdue', 'Maximum'),
      above: 0,
      description: "A schedule's tests have proved no restore for more than two of their periods.",
    },
    VmLeftUnlocked: {
      metric: lasting('VmLeftUnlocked', 'Sum'),
      above: 0,
      description:
        'A job could not lock its VM again: its snapshots are allowed until xensnap or a person does.',
    },
    JanitorFindings: {
      metric: lasting('JanitorFindings', 'Sum'),
      above: 0,
      description: 'The janitor found something that ended jobs left.',
    },
    PoolPaused: {
      metric: sum('PoolPaused'),
      above: 0,
      description: 'A pool does not answer: its jobs wait.',
    },
    MalformedMessage: {
      metric: sum('MalformedMessage'),
      above: 0,
      description: 'Somebody else has put a message into the host queue; it was deleted.',
    },
    BackupOverdue: {
      metric: lasting('VerifiedBackupAgeHours', 'Maximum'),
      above: alarmHours.backupAge,
      description: `A scheduled VM has had no verified backup for ${alarmHours.backupAge} hours.`,
    },
    QueueAge: {
      // At each look at a line. SQS's own age of the oldest message leaves out what was received three times, and with
      // it whoever waits.
      metric: lasting('WaitedSeconds', 'Maximum'),
      above: alarmHours.queueAge * 3600,
      description: `A job has waited for its host for ${alarmHours.queueAge} hours.`,
    },
    ...Object.fromEntries(
      Object.entries(watched.failures).map(([name, queue]) => [
        name,
        {
          metric: queue.metricApproximateNumberOfMessagesVisible({
            period: Duration.minutes(5),
            statistic: 'Maximum',
          }),
          above: 0,
          description: 'An event could not be dealt with; it lies in this queue.',
        },
      ]),
    ),
    ...Object.fromEntries(
      watched.entries.map((entry) => [
        `${entry.node.id}Errors`,
        {
          metric: entry.metricErrors({ period: Duration.minutes(5) }),
          above: 0,
          description: `The function ${entry.node.id} has failed: see its log.`,
        },
      ]),
    ),
    ...stepErrors(watched.steps),
    ...throttles(watched),
  };
}
