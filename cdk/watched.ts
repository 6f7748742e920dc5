import type { IMetric } from 'aws-cdk-lib/aws-cloudwatch';
import type { Table } from 'aws-cdk-lib/aws-dynamodb';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';

/** What the alarms look at. */
export interface Watched {
  readonly hostQueue: Queue;
  /** Queues that are empty while all is well, by the name of their alarm. */
  readonly failures: Readonly<Record<string, Queue>>;
  /** Functions that start work: one error is an alarm. */
  readonly entries: readonly LambdaFunction[];
  /** The state machine tries a step again; many errors at once are an alarm. */
  readonly steps: readonly LambdaFunction[];
  readonly machines: readonly StateMachine[];
  readonly table: Table;
}

/** What an alarm is about. */
export interface Sign {
  readonly metric: IMetric;
  readonly above: number;
  readonly description: string;
}
