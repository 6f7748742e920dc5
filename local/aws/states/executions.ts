import { setTimeout as delay } from 'node:timers/promises';
import { ExecutionError, ExecutionTimeoutError, StateMachine } from 'aws-local-stepfunctions';
import type { LocalClock } from '../../clock.ts';
import { localDefinition } from './definition.ts';
import { tooLarge } from './failures.ts';
import {
  appendEngineEvent,
  type EngineEvent,
  type HistoryEvent,
  historyEvent,
  historyLimit,
} from './history.ts';
import { type StatusChangeEvent, statusChangeEvent } from './status-event.ts';
import { callbackTask, type Handler, lambdaTask, type SendMessage, type TaskRun, waitTask } from './tasks.ts';
import { taskTokens } from './tokens.ts';
import type { Asl } from './walk.ts';

/** One run of the state machine, kept in memory. Input and output are JSON. */
export interface Execution {
  readonly arn: string;
  readonly name: string;
  readonly startDate: Date;
  readonly input: string;
  readonly history: HistoryEvent[];
  status: 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED';
  stopDate?: Date;
  output?: string;
  error?: string;
  cause?: string;
}

type End = Pick<Execution, 'status' | 'output' | 'error' | 'cause'>;

export interface ExecutionsOptions {
  readonly definition: Asl;
  readonly stateMachineArn: string;
  readonly resources: Record<string, Handler>;
  readonly sendMessage: SendMessage;
  readonly clock: LocalClock;
  readonly timeoutSpeed: number;
  readonly waitSeconds: Record<string, number>;
  readonly keepClosed: number;
  readonly onStatusChange: (event: StatusChangeEvent) => void;
  readonly onState: (executionName: string, stateName: string) => void;
}

const finalEvent = {
  SUCCEEDED: 'ExecutionSucceeded',
  FAILED: 'ExecutionFailed',
  TIMED_OUT: 'ExecutionTimedOut',
  ABORTED: 'ExecutionAborted',
} as const;

/** Runs executions of one state machine on aws-local-stepfunctions and remembers them. */
export function executions(options: ExecutionsOptions) {
  const { stateMachineArn, clock, onStatusChange, onState } = options;
  const { definition, facts } = localDefinition(options.definition, clock.speed, options.timeoutSpeed);
  const machine = new StateMachine(definition, { validationOptions: { noValidate: true } });
  const tokens = taskTokens();
  const known = new Map<string, Execution>();
  const endings = new Map<Execution, (end: End) => void>();
  const halts = new Map<Execution, () => void>();
  const closed: Execution[] = [];
  const stopping = new AbortController();
  const handlersAtWork = new Set<Promise<unknown>>();

  function track(handler: Handler): Handler {
    return (input, signal) => {
      const work = Promise.resolve().then(() => handler(input, signal));
      const noted = work.catch(() => {}).finally(() => handlersAtWork.delete(noted));
      handlersAtWork.add(noted);
      return work;
    };
  }

  function localHandlers(run: Omit<TaskRun, 'stateName' | 'facts'>, takeToken: () => string | undefined) {
    const handlers: Record<string, (input: unknown) => Promise<unknown>> = {};
    for (const [stateName, fact] of facts) {
      const task = { ...run, stateName, facts: fact };
      const handler = options.resources[stateName];
      if (fact.type === 'Wait') handlers[stateName] = waitTask(task, clock, options.waitSeconds[stateName]);
      else if (fact.queueCallback)
        handlers[stateName] = callbackTask(task, options.sendMessage, tokens, takeToken);
      else if (handler) handlers[stateName] = lambdaTask(task, track(handler), stopping.signal);
    }
    return handlers as Record<string, never>;
  }

  function start(name: string, input: string): Execution {
    const arn = `${stateMachineArn.replace(':stateMachine:', ':execution:')}:${name}`;
    const execution: Execution = { arn, name, startDate: clock.now(), input, history: [], status: 'RUNNING' };
    const over = new AbortController();
    const append = (type: string, details: Record<string, unknown> | undefined) => {
      if (execution.status !== 'RUNNING') return;
      const { history } = execution;
      history.push(historyEvent(history.length + 1, clock.now(), type, details));
      if (history.length >= historyLimit)
        end({ status: 'FAILED', error: 'States.Runtime', cause: historyFull });
    };
    const end = (outcome: End) => {
      if (execution.status !== 'RUNNING') return;
      const { status, ...details } = outcome;
      if (status !== 'RUNNING')
        execution.history.push(
          historyEvent(execution.history.length + 1, clock.now(), finalEvent[status], details),
        );
      Object.assign(execution, outcome, { stopDate: clock.now() });
      endings.delete(execution);
      halt();
      remember(execution);
      onStatusChange(statusChangeEvent(execution, stateMachineArn, clock.now()));
    };

    const halt = () => {
      halts.delete(execution);
      over.abort();
      run.abort();
    };

    known.set(arn, execution);
    halts.set(execution, halt);
    endings.set(execution, end);
    append('ExecutionStarted', { input, roleArn: 'arn:aws:iam::000000000000:role/local' });
    onStatusChange(statusChangeEvent(execution, stateMachineArn, clock.now()));

    let token: string | undefined;
    const takeToken = () => {
      const taken = token;
      token = undefined;
      return taken;
    };
    const run = machine.run(JSON.parse(input), {
      noThrowOnAbort: true,
      overrides: { taskResourceLocalHandlers: localHandlers({ append, over: over.signal }, takeToken) },
      context: {
        Execution: { Id: arn, Name: name, RoleArn: 'arn:aws:iam::000000000000:role/local' },
        StateMachine: { Id: stateMachineArn, Name: stateMachineArn.split(':').at(-1) },
        // The engine replaces Execution.StartTime with the real time; localDefinition leads the path here.
        Local: { StartTime: execution.startDate.toISOString() },
        // Read while the engine fills in a state's Parameters, which it does in one go with calling the handler.
        Task: {
          get Token() {
            token ??= tokens.issue();
            return token;
          },
        },
      },
    });
    const watch = async () => {
      for await (const event of run.eventLogs) {
        if (execution.status !== 'RUNNING') continue;
        appendEngineEvent(event, facts, append);
        if (event.type === 'StateEntered') onState(name, event.state.name);
        const cause = event.type === 'StateExited' && outputTooLarge(event);
        if (cause) end({ status: 'FAILED', error: 'States.DataLimitExceeded', cause });
      }
    };
    Promise.all([run.result.then(succeeded, failed), watch()]).then(([outcome]) => end(outcome));
    return execution;
  }

  function remember(execution: Execution): void {
    closed.push(execution);
    if (closed.length <= options.keepClosed) return;
    const oldest = closed.shift();
    if (oldest && known.get(oldest.arn) === oldest) known.delete(oldest.arn);
  }

  return {
    tokens,
    start,
    get: (arn: string) => known.get(arn),
    /** Newest first, as ListExecutions has them. */
    all: () => [...known.values()].reverse(),
    /** Ends a running execution; an execution that has ended stays as it is. */
    stop: (execution: Execution, error?: string, cause?: string) =>
      endings.get(execution)?.({
        status: 'ABORTED',
        ...(error !== undefined && { error }),
        ...(cause !== undefined && { cause }),
      }),
    /**
     * Forgets what runs, without an event, as a killed service does, and waits for the handlers at work, but no longer
     * than 5 real seconds.
     */
    async close(): Promise<void> {
      stopping.abort();
      for (const halt of halts.values()) halt();
      await Promise.race([Promise.all(handlersAtWork), delay(5000, undefined, { ref: false })]);
    },
  };
}

const historyFull = `The execution reached the maximum number of history events (${historyLimit}).`;

function outputTooLarge(event: Extract<EngineEvent, { state: unknown }>): string | undefined {
  return tooLarge(event.state.name, JSON.stringify(event.state.output) ?? '');
}

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
