import { setTimeout as delay } from 'node:timers/promises';
import { StateMachine } from 'aws-local-stepfunctions';
import type { LocalClock } from '../../clock.ts';
import { localDefinition } from './definition.ts';
import type { Execution } from './execution.ts';
import { type End, type Running, runExecution } from './run.ts';
import { type StatusChangeEvent, statusChangeEvent } from './status-event.ts';
import type { Handler, SendMessage } from './tasks.ts';
import type { TaskTokens } from './tokens.ts';
import type { Asl } from './walk.ts';

export interface ExecutionsOptions {
  readonly definition: Asl;
  readonly stateMachineArn: string;
  readonly resources: Record<string, Handler>;
  readonly sendMessage: SendMessage;
  readonly tokens: TaskTokens;
  readonly clock: LocalClock;
  readonly timeoutSpeed: number;
  readonly lambdaSeconds: Record<string, number>;
  readonly waitSeconds: Record<string, number>;
  readonly keepClosed: number;
  readonly onStatusChange: (event: StatusChangeEvent) => void;
  readonly onState: (executionName: string, stateName: string) => void;
}

/** How long the name of an execution that has ended can't be used again. */
const NAME_KEPT_MS = 90 * 86_400_000;

/** Runs executions of one state machine on aws-local-stepfunctions and remembers them. */
export function executions(options: ExecutionsOptions) {
  const { stateMachineArn, clock, resources, sendMessage, tokens, waitSeconds, onState } = options;
  const { definition, facts } = localDefinition(options.definition, clock.speed, options.timeoutSpeed);
  const machine = new StateMachine(definition, { validationOptions: { noValidate: true } });
  const known = new Map<string, Execution>();
  const running = new Map<Execution, Running>();
  const closed: Execution[] = [];
  const lambdas = new Map(
    Object.entries(options.lambdaSeconds).map(([state, seconds]) => [
      state,
      { seconds, milliseconds: (seconds * 1000) / options.timeoutSpeed },
    ]),
  );
  /** When an execution of this name ended that is forgotten but for its name. */
  const usedNames = new Map<string, Date>();
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
  const tracked = Object.fromEntries(Object.entries(resources).map(([name, run]) => [name, track(run)]));

  function report(execution: Execution): void {
    options.onStatusChange(statusChangeEvent(execution, stateMachineArn, clock.now()));
  }

  function onEnded(execution: Execution): void {
    running.delete(execution);
    closed.push(execution);
    if (closed.length > options.keepClosed) forget(closed.shift());
    report(execution);
  }

  function forget(execution: Execution | undefined): void {
    if (!execution) return;
    known.delete(execution.arn);
    usedNames.set(execution.name, execution.stopDate ?? clock.now());
    for (const name of usedNames.keys()) {
      if (isTaken(name)) break;
      usedNames.delete(name);
    }
  }

  function isTaken(name: string): boolean {
    const ended = usedNames.get(name);
    return ended !== undefined && clock.now().getTime() - ended.getTime() < NAME_KEPT_MS;
  }

  const arnOf = (name: string) => `${stateMachineArn.replace(':stateMachine:', ':execution:')}:${name}`;

  return {
    get: (arn: string) => known.get(arn),
    named: (name: string) => known.get(arnOf(name)),
    arnOf,
    /** Whether an execution of this name ended less than 90 days ago, although it is not known any more. */
    isTaken,
    /** Newest first, as ListExecutions has them. */
    all: () => [...known.values()].reverse(),
    /** @param input JSON */
    start(name: string, input: string): Execution {
      const startDate = clock.now();
      const execution: Execution = {
        arn: arnOf(name),
        name,
        startDate,
        input,
        history: [],
        status: 'RUNNING',
      };
      known.set(execution.arn, execution);
      report(execution);
      const shared = {
        machine,
        stateMachineArn,
        facts,
        tokens,
        lambdas,
        clock,
        waitSeconds,
        sendMessage,
        onState,
        onEnded,
      };
      running.set(
        execution,
        runExecution(execution, { ...shared, resources: tracked, stopping: stopping.signal }),
      );
      return execution;
    },
    /** Ends a running execution; one that has ended stays as it is. */
    stop(execution: Execution, reason: Pick<End, 'error' | 'cause'>): void {
      running.get(execution)?.end({ status: 'ABORTED', ...reason });
    },
    /**
     * Forgets what runs, without an event, as a killed service does, and waits for the handlers at work, but no longer
     * than 5 real seconds.
     */
    async close(): Promise<void> {
      stopping.abort();
      for (const run of running.values()) run.abandon();
      await Promise.race([Promise.all(handlersAtWork), delay(5000, undefined, { ref: false })]);
    },
  };
}
