import {
  DescribeExecutionCommand,
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  GetExecutionHistoryCommand,
  type HistoryEvent,
  ListExecutionsCommand,
  type SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import type { JobInput, MachineName } from '../statemachine/contract.ts';

/** How a job's execution stands. `error` and `cause` are there when it failed. */
export interface ExecutionState {
  readonly status: 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED' | 'PENDING_REDRIVE';
  readonly error?: string;
  readonly cause?: string;
}

/** Something that happened to a Task state of an execution. */
export interface Moment {
  /** ISO 8601. */
  readonly at: string;
  /** `begun` and `failed` are of a try: a state has several where it is tried again. */
  readonly what: 'entered' | 'begun' | 'failed' | 'left';
  /** For `entered`: the state's name. */
  readonly state?: string;
  /** For `failed`: the error's name and cause, as a Catch would get them. */
  readonly error?: string;
  readonly cause?: string;
}

/** The types of events that tell of a failed try, and where each has its error. */
const FAILS = {
  LambdaFunctionFailed: 'lambdaFunctionFailedEventDetails',
  LambdaFunctionScheduleFailed: 'lambdaFunctionScheduleFailedEventDetails',
  LambdaFunctionStartFailed: 'lambdaFunctionStartFailedEventDetails',
  LambdaFunctionTimedOut: 'lambdaFunctionTimedOutEventDetails',
  TaskFailed: 'taskFailedEventDetails',
  TaskStartFailed: 'taskStartFailedEventDetails',
  TaskSubmitFailed: 'taskSubmitFailedEventDetails',
  TaskTimedOut: 'taskTimedOutEventDetails',
} as const satisfies Record<string, keyof HistoryEvent>;

/** What an event of a history tells of a Task state; most tell nothing that is not told by another. */
function* momentsOf(event: HistoryEvent): Generator<Moment> {
  const { type = '', timestamp = new Date(0), stateEnteredEventDetails } = event;
  const at = timestamp.toISOString();
  if (type === 'TaskStateEntered') yield { at, what: 'entered', state: stateEnteredEventDetails?.name ?? '' };
  else if (type === 'LambdaFunctionScheduled' || type === 'TaskScheduled') yield { at, what: 'begun' };
  else if (type === 'TaskStateExited' || type.startsWith('Execution')) yield { at, what: 'left' };
  else if (Object.hasOwn(FAILS, type)) {
    const details = event[FAILS[type as keyof typeof FAILS]];
    const { error = 'States.Timeout', cause = '' } = details ?? {};
    yield { at, what: 'failed', error, cause };
  }
}

/** Whose execution: a job's, by which it is named, in the machine that its kind of jobs has. */
export interface ExecutionOf {
  readonly id: string;
  readonly machine: MachineName;
}

/** The executions of the state machines. */
export interface Executions {
  /** Starts the job's execution. A second start of the same job changes nothing. */
  start(job: ExecutionOf): Promise<void>;
  /** Undefined when there is none (any more). */
  describe(job: ExecutionOf): Promise<ExecutionState | undefined>;
  /** Those that run, the newest of each machine first. */
  running(): AsyncIterable<ExecutionOf>;
  /** What has happened in it, oldest first; nothing when it is not there (any more). */
  history(job: ExecutionOf): AsyncIterable<Moment>;
  /** Stops it without a Catch; one that is over or was never there is left as it is. */
  stop(job: ExecutionOf, cause: string): Promise<void>;
}

/** The ARN of each state machine. */
export type MachineArns = Readonly<Record<MachineName, string>>;

export function createExecutions(client: SFNClient, arns: MachineArns): Executions {
  const executionArn = ({ machine, id }: ExecutionOf) =>
    `${arns[machine].replace(':stateMachine:', ':execution:')}:${id}`;
  return {
    async start({ machine, id }) {
      const input: JobInput = { jobId: id };
      try {
        await client.send(
          new StartExecutionCommand({
            stateMachineArn: arns[machine],
            name: id,
            input: JSON.stringify(input),
          }),
        );
      } catch (error) {
        if (!(error instanceof ExecutionAlreadyExists)) throw error;
      }
    },
    async describe(job) {
      try {
        const command = new DescribeExecutionCommand({ executionArn: executionArn(job) });
        const { status, error, cause } = await client.send(command);
        return status && { status, ...(error && { error }), ...(cause && { cause }) };
      } catch (error) {
        if (error instanceof ExecutionDoesNotExist) return undefined;
        throw error;
      }
    },
    async *running() {
      for (const [machine, stateMachineArn] of Object.entries(arns) as [MachineName, string][]) {
        let nextToken: string | undefined;
        do {
          const command = new ListExecutionsCommand({
            stateMachineArn,
            statusFilter: 'RUNNING',
            maxResults: 1000,
            ...(nextToken !== undefined && { nextToken }),
          });
          const page = await client.send(command);
          for (const { name: id } of page.executions ?? []) if (id !== undefined) yield { machine, id };
          nextToken = page.nextToken;
        } while (nextToken !== undefined);
      }
    },
    async *history(job) {
      let nextToken: string | undefined;
      do {
        const command = new GetExecutionHistoryCommand({
          executionArn: executionArn(job),
          includeExecutionData: false,
          maxResults: 1000,
          ...(nextToken !== undefined && { nextToken }),
        });
        const page = await client.send(command).catch((error: unknown) => {
          if (error instanceof ExecutionDoesNotExist) return undefined;
          throw error;
        });
        for (const event of page?.events ?? []) yield* momentsOf(event);
        nextToken = page?.nextToken;
      } while (nextToken !== undefined);
    },
    async stop(job, cause) {
      try {
        await client.send(
          new StopExecutionCommand({ executionArn: executionArn(job), error: 'JobCancelled', cause }),
        );
      } catch (error) {
        if (!(error instanceof ExecutionDoesNotExist)) throw error;
      }
    },
  };
}
