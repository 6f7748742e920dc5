import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { Rule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction as RuleTarget } from 'aws-cdk-lib/aws-events-targets';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Schedule, ScheduleExpression, ScheduleGroup } from 'aws-cdk-lib/aws-scheduler';
import { LambdaInvoke } from 'aws-cdk-lib/aws-scheduler-targets';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { acknowledge, inFinding } from './acknowledge.ts';
import { serviceRole } from './service-role.ts';
import { machineArns, type StateMachines } from './state-machine.ts';

const FAILURES = ['FAILED', 'TIMED_OUT', 'ABORTED'];

/** Has reconcile look after each execution that ended badly. */
export function reconcileFailures(
  scope: Construct,
  machines: StateMachines,
  reconcile: LambdaFunction,
  failures: Queue,
): void {
  new Rule(scope, 'JobEnded', {
    description: 'xensnap: an execution has failed, timed out or been stopped',
    eventPattern: {
      source: ['aws.states'],
      detailType: ['Step Functions Execution Status Change'],
      detail: { stateMachineArn: machineArns(machines), status: FAILURES },
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
  const scheduleGroup = new ScheduleGroup(scope, 'Rounds', { removalPolicy: RemovalPolicy.DESTROY });
  const role = serviceRole(scope, 'JanitorScheduleRole', {
    service: 'scheduler',
    forArn: scheduleGroup.scheduleGroupArn,
    description: 'xensnap: lets the schedule call the janitor',
  });
  const versions = `IAM5[Resource::${inFinding(janitor, 'Arn')}:*]`;
  acknowledge(role, versions, 'The versions of this one function.');
  new Schedule(scope, 'JanitorSchedule', {
    description: 'xensnap: the janitor',
    scheduleGroup,
    schedule: ScheduleExpression.rate(Duration.minutes(15)),
    target: new LambdaInvoke(janitor, {
      role,
      deadLetterQueue: failures,
      retryAttempts: 2,
      maxEventAge: Duration.minutes(15),
    }),
  });
}

/**
 * Has the schedules looked at every minute. One trigger for all of them: when each is due, xensnap works out itself
 * (docs/adr on schedules). What could not be delivered goes into `failures`.
 */
export function tickSchedules(scope: Construct, schedules: LambdaFunction, failures: Queue): void {
  const scheduleGroup = new ScheduleGroup(scope, 'Backups', { removalPolicy: RemovalPolicy.DESTROY });
  const role = serviceRole(scope, 'BackupsRole', {
    service: 'scheduler',
    forArn: scheduleGroup.scheduleGroupArn,
    description: 'xensnap: lets the schedule call the look at the schedules',
  });
  const versions = `IAM5[Resource::${inFinding(schedules, 'Arn')}:*]`;
  acknowledge(role, versions, 'The versions of this one function.');
  new Schedule(scope, 'BackupsSchedule', {
    description: 'xensnap: backups',
    scheduleGroup,
    schedule: ScheduleExpression.rate(Duration.minutes(1)),
    target: new LambdaInvoke(schedules, {
      role,
      deadLetterQueue: failures,
      // The next minute's comes anyway.
      retryAttempts: 1,
      maxEventAge: Duration.minutes(2),
    }),
  });
}
