import {
  DescribeExecutionCommand,
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  type SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import type { JobInput } from '../statemachine/contract.ts';

/** How a job's execution stands. `error` and `cause` are there when it failed. */
export interface ExecutionState {
  readonly status: 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED' | 'PENDING_REDRIVE';
  readonly error?: string;
  readonly cause?: string;
}

/** The executions of the snapshot state machine; an execution's name is its job's id. */
export interface Executions {
  /** Starts the job's execution. A second start of the same job changes nothing. */
  start(jobId: string): Promise<void>;
  /** Undefined when there is none (any more). */
  describe(jobId: string): Promise<ExecutionState | undefined>;
  /** Stops it without a Catch; one that is over or was never there is left as it is. */
  stop(jobId: string, cause: string): Promise<void>;
}

export function createExecutions(client: SFNClient, stateMachineArn: string): Executions {
  const executionArn = (jobId: string) =>
    `${stateMachineArn.replace(':stateMachine:', ':execution:')}:${jobId}`;
  return {
    async start(jobId) {
      const input: JobInput = { jobId };
      try {
        await client.send(
          new StartExecutionCommand({ stateMachineArn, name: jobId, input: JSON.stringify(input) }),
        );
      } catch (error) {
        if (!(error instanceof ExecutionAlreadyExists)) throw error;
      }
    },
    async describe(jobId) {
      try {
        const command = new DescribeExecutionCommand({ executionArn: executionArn(jobId) });
        const { status, error, cause } = await client.send(command);
        return status && { status, ...(error && { error }), ...(cause && { cause }) };
      } catch (error) {
        if (error instanceof ExecutionDoesNotExist) return undefined;
        throw error;
      }
    },
    async stop(jobId, cause) {
      try {
        await client.send(
          new StopExecutionCommand({ executionArn: executionArn(jobId), error: 'JobCancelled', cause }),
        );
      } catch (error) {
        if (!(error instanceof ExecutionDoesNotExist)) throw error;
      }
    },
  };
}
