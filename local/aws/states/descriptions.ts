import { epochSeconds } from '../json-service.ts';
import type { Execution } from './execution.ts';

/** An execution as ListExecutions has it. */
export function summary({ arn, name, status, startDate, stopDate }: Execution, stateMachineArn: string) {
  return {
    executionArn: arn,
    stateMachineArn,
    name,
    status,
    startDate: epochSeconds(startDate),
    ...(stopDate && { stopDate: epochSeconds(stopDate) }),
  };
}

/** An execution as DescribeExecution has it. */
export function describe(execution: Execution, stateMachineArn: string) {
  const { input, output, error, cause } = execution;
  return {
    ...summary(execution, stateMachineArn),
    input,
    inputDetails: { included: true },
    ...(output !== undefined && { output, outputDetails: { included: true } }),
    ...(error !== undefined && { error }),
    ...(cause !== undefined && { cause }),
    redriveCount: 0,
    redriveStatus: 'NOT_REDRIVABLE',
  };
}
