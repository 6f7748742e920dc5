import { ExecutionError, ExecutionTimeoutError, type StateMachine } from 'aws-local-stepfunctions';
import type { LocalClock } from '../../clock.ts';
import type { StateFacts } from './definition.ts';
import type { Execution } from './execution.ts';
import { tooLarge } from './failures.ts';
import { type AppendEvent, appendEngineEvent, HISTORY_LIMIT, historyEvent } from './history.ts';
import {
  callbackTask,
  type Handler,
  lambdaTask,
  type SendMessage,
  type TaskContext,
  waitTask,
} from './tasks.ts';
import type { TaskTokens } from './tokens.ts';

/** How an execution ended. */
export interface End {
  readonly status: Exclude<Execution['status'], 'RUNNING'>;
  readonly output?: string;
  readonly error?: string;
  readonly cause?: string;
}

/** An execution under way. */
export interface Running {
  /** Ends it in this way, if nothing has ended it before. */
  end(outcome: End): void;
  /** Stops the engine and leaves the execution RUNNING for ever. */
  abandon(): void;
}

export interface ExecutionOptions {
  readonly machine: StateMachine;
  readonly stateMachineArn: string;
  readonly facts: Map<string, StateFacts>;
  readonly tokens: TaskTokens;
  /** The Lambdas' own timeouts, by state. */
  readonly lambdas: ReadonlyMap<string, NonNullable<TaskContext['lambda']>>;
  readonly clock: LocalClock;
  readonly waitSeconds: Record<string, number>;
  readonly resources: Record<string, Handler>;
  readonly sendMessage: SendMessage;
  /** Handed to the handlers. */
  readonly stopping: AbortSignal;
  readonly onState: (executionName: string, stateName: string) => void;
  readonly onEnded: (execution: Execution) => void;
}

const ROLE_ARN = 'arn:aws:iam::000000000000:role/local';
const finalEvent = {
  SUCCEEDED: 'ExecutionSucceeded',
  FAILED: 'ExecutionFailed',
  TIMED_OUT: 'ExecutionTimedOut',
  ABORTED: 'ExecutionAborted',
} as const;

/** Runs one execution and writes its history and its end into its record. */
export function runExecution(execution: Execution, options: ExecutionOptions): Running {
  const { machine, stateMachineArn, facts, tokens, clock } = options;
  const { history } = execution;
  const over = new AbortController();

  const write: AppendEvent = (type, details) =>
    history.push(historyEvent(history.length + 1, clock.now(), type, details));

  const append: AppendEvent = (type, details) => {
    if (over.signal.aborted) return;
    if (history.length < HISTORY_LIMIT - 1) write(type, details);
    else end({ status: 'FAILED', error: 'States.Runtime', cause: HISTORY_FULL });
  };

  function end(outcome: End): void {
    if (over.signal.aborted) return;
    const { status, ...details } = outcome;
    write(finalEvent[status], status === 'TIMED_OUT' ? { error: 'States.Timeout' } : details);
    Object.assign(execution, outcome, { stopDate: clock.now() });
    abandon();
    options.onEnded(execution);
  }

  function abandon(): void {
    over.abort();
    engine.abort();
  }

  // The engine fills in a state's Parameters and calls the handler in one go: the token that is read here is the
  // token of the handler that is called next.
  let token: string | undefined;
  function takeToken(): string | undefined {
    const taken = token;
    token = undefined;
    return taken;
  }

  function localHandlers(): Record<string, never> {
    const handlers: Record<string, (input: unknown) => Promise<unknown>> = {};
    for (const [stateName, fact] of facts) {
      const task = {
        stateName,
        facts: fact,
        append,
        lambda: options.lambdas.get(stateName),
        over: over.signal,
      };
      const handler = options.resources[stateName];
      if (fact.type === 'Wait') handlers[stateName] = waitTask(task, clock, options.waitSeconds[stateName]);
      else if (fact.queueCallback)
        handlers[stateName] = callbackTask(task, options.sendMessage, tokens, takeToken);
      else if (handler) handlers[stateName] = lambdaTask(task, handler, options.stopping);
    }
    return handlers as Record<string, never>;
  }

  write('ExecutionStarted', { input: execution.input, roleArn: ROLE_ARN });
  const engine = machine.run(JSON.parse(execution.input), {
    noThrowOnAbort: true,
    overrides: { taskResourceLocalHandlers: localHandlers() },
    context: {
      Execution: { Id: execution.arn, Name: execution.name, RoleArn: ROLE_ARN },
      StateMachine: { Id: stateMachineArn, Name: stateMachineArn.split(':').at(-1) },
      // The engine puts the real time into Execution.StartTime; localDefinition leads the path here.
      Local: { StartTime: execution.startDate.toISOString() },
      Task: {
        get Token() {
          token ??= tokens.issue();
          return token;
        },
      },
    },
  });

  async function watch(): Promise<void> {
    for await (const event of engine.eventLogs) {
      appendEngineEvent(event, facts, append);
      if (event.type === 'StateEntered' && !over.signal.aborted)
        options.onState(execution.name, event.state.name);
      if (event.type !== 'StateExited') continue;
      const cause = tooLarge(event.state.name, JSON.stringify(event.state.output) ?? '');
      if (cause) end({ status: 'FAILED', error: 'States.DataLimitExceeded', cause });
    }
  }

  Promise.all([engine.result.then(succeeded, failed), watch()]).then(([outcome]) => end(outcome));
  return { end, abandon };
}

const HISTORY_FULL = `The execution reached the maximum number of history events (${HISTORY_LIMIT}).`;

function succeeded(output: unknown): End {
  return { status: 'SUCCEEDED', output: JSON.stringify(output) };
}

function failed(error: unknown): End {
  if (error instanceof ExecutionTimeoutError) return { status: 'TIMED_OUT' };
  const reason = error instanceof ExecutionError ? error.cause : error;
  const { name, message } = reason instanceof Error ? reason : new Error(String(reason));
  // A Fail state without Error or Cause gets these from the engine; AWS leaves both out.
  return {
    status: 'FAILED',
    ...(name !== 'FailStateError' && { error: name }),
    ...(message !== 'Execution failed because of a Fail state' && { cause: message }),
  };
}
