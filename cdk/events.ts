import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { Rule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction as RuleTarget } from 'aws-cdk-lib/aws-events-targets';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Schedule, ScheduleExpression, ScheduleGroup } from 'aws-cdk-lib/aws-scheduler';
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { acknowledge, inFinding } from './acknowledge.ts';

const FAILURES = ['FAILED', 'TIMED_OUT', 'ABORTED'];

/** Has reconcile look after each execution that ended badly. */
export function reconcileFailures(
  scope: Construct,
  stateMachine: StateMachine,
  reconcile: LambdaFunction,
  failures: Queue,
): void {
  new Rule(scope, 'JobEnded', {
    description: 'xensnap: an execution has failed, timed out or been stopped',
    eventPattern: {
      source: ['aws.states'],
      detailType: ['Step Functions Execution Status Change'],
      detail: { stateMachineArn: [stateMachine.stateMachineArn], status: FAILURES },
    },
    targets: [
      new RuleTarget(reconcile, {
        deadLetterQueue: failures,
        retryAttempts: 8,
        maxEventAge: Duration.hours(2),
      }),
    ],
  });
}

/** Runs the janitor every 15 minutes, whatever else happens. */
export function scheduleJanitor(scope: Construct, janitor: LambdaFunction, failures: Queue): void {
  const role = new Role(scope, 'JanitorScheduleRole', {
    description: 'xensnap: lets the schedule call the janitor',
    assumedBy: new ServicePrincipal('scheduler.amazonaws.com'),
  });
  const versions = `IAM5[Resource::${inFinding(janitor, 'Arn')}:*]`;
  acknowledge(role, versions, 'The versions of this one function.');
  new Schedule(scope, 'JanitorSchedule', {
    description: 'xensnap: the janitor',
    schedule: ScheduleExpression.rate(Duration.minutes(15)),
    target: new LambdaInvoke(janitor, {
      role,
      deadLetterQueue: failures,
      retryAttempts: 2,
      maxEventAge: Duration.minutes(15),
    }),
  });
}

/** Where the schedules of backups are, and in whose name they act. */
export interface BackupSchedules {
  readonly group: ScheduleGroup;
  readonly role: Role;
}

/**
 * The group that the schedules of backups are made in, and the role with which they start jobs. What could not be
 * delivered goes into `failures`.
 */
export function createBackupSchedules(
  scope: Construct,
  stateMachine: StateMachine,
  failures: Queue,
): BackupSchedules {
  const group = new ScheduleGroup(scope, 'Backups', { removalPolicy: RemovalPolicy.DESTROY });
  const role = new Role(scope, 'BackupsRole', {
    description: 'xensnap: what a schedule of a backup may do',
    assumedBy: new ServicePrincipal('scheduler.amazonaws.com', {
      conditions: { ArnLike: { 'aws:SourceArn': group.scheduleGroupArn } },
    }),
  });
  role.addToPolicy(
    new PolicyStatement({ actions: ['states:StartExecution'], resources: [stateMachine.stateMachineArn] }),
  );
  role.addToPolicy(new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [failures.queueArn] }));
  return { group, role };
}
