import { randomUUID } from 'node:crypto';
import type { Execution } from './execution.ts';

/** EventBridge's "Step Functions Execution Status Change" event, as far as Step Functions fills it. */
export interface StatusChangeEvent {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type': 'Step Functions Execution Status Change';
  readonly source: 'aws.states';
  readonly account: string;
  readonly time: string;
  readonly region: string;
  readonly resources: string[];
  readonly detail: {
    readonly executionArn: string;
    readonly stateMachineArn: string;
    readonly name: string;
    readonly status: Execution['status'];
    /** Milliseconds since 1970, unlike everywhere else in Step Functions. */
    readonly startDate: number;
    readonly stopDate: number | null;
    readonly input: string;
    readonly output: string | null;
    readonly error: string | null;
    readonly cause: string | null;
  };
}

/** The event for what an execution is now. */
export function statusChangeEvent(
  execution: Execution,
  stateMachineArn: string,
  time: Date,
): StatusChangeEvent {
  const { arn, name, status, startDate, stopDate, input, output, error, cause } = execution;
  const [, , , region = '', account = ''] = arn.split(':');
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': 'Step Functions Execution Status Change',
    source: 'aws.states',
    account,
    time: time.toISOString(),
    region,
    resources: [arn],
    detail: {
      executionArn: arn,
      stateMachineArn,
      name,
      status,
      startDate: startDate.getTime(),
      stopDate: stopDate?.getTime() ?? null,
      input,
      output: output ?? null,
      error: error ?? null,
      cause: cause ?? null,
    },
  };
}
