import type { StateMachineDefinition } from 'aws-local-stepfunctions';
import { type Asl, isObject, isQueueCallback, machinesIn, mapStrings, statesOf } from './walk.ts';

/** Node's timers hold 31 bits of milliseconds; beyond that they fire at once. */
export const LONGEST_TIMER_SECONDS = 2_147_483;

const WAIT_RESOURCE = 'arn:aws:lambda:us-east-1:000000000000:function:wait';

/** What the front has to know of a state, apart from what the engine does with it. */
export interface StateFacts {
  /** The type in the document: the engine is told that a Wait is a Task. */
  readonly type: string;
  readonly resource: string;
  readonly queueCallback: boolean;
  /** Real milliseconds after which the engine gives a task up; absent where the document sets no limit. */
  readonly timeoutMs: number;
}

/**
 * A copy of a document that aws-local-stepfunctions 3.0.0 runs in the clock's time: timeouts and retry intervals
 * divided by `speed`, each Wait a Task (the engine's own Wait knows only real time), tasks without a limit freed of
 * the engine's 60 seconds, and `ResultPath: "$"`, which it takes for a member of that name, left out.
 */
export function localDefinition(
  definition: Asl,
  speed: number,
  timeoutSpeed = speed,
): { definition: StateMachineDefinition; facts: Map<string, StateFacts> } {
  const local = mapStrings(structuredClone(definition), (text) =>
    text.replaceAll('$$.Execution.StartTime', '$$$$.Local.StartTime'),
  ) as Asl;
  const facts = new Map<string, StateFacts>();
  for (const [name, state] of statesOf(local)) {
    if (state.Type === 'Task') state.TimeoutSeconds = timerSeconds(state.TimeoutSeconds, timeoutSpeed);
    facts.set(name, {
      type: String(state.Type),
      resource: String(state.Resource ?? ''),
      queueCallback: isQueueCallback(state),
      timeoutMs: Number(state.TimeoutSeconds ?? 0) * 1000,
    });
  }
  adapt(local, speed);
  if (local.TimeoutSeconds !== undefined) local.TimeoutSeconds = timerSeconds(local.TimeoutSeconds, speed);
  return { definition: local as unknown as StateMachineDefinition, facts };
}

function adapt(machine: Asl, speed: number): void {
  if (!isObject(machine.States)) return;
  for (const [name, state] of Object.entries(machine.States)) {
    if (!isObject(state)) continue;
    for (const retrier of objects(state.Retry)) {
      retrier.IntervalSeconds = Number(retrier.IntervalSeconds ?? 1) / speed;
      if (retrier.MaxDelaySeconds !== undefined)
        retrier.MaxDelaySeconds = Number(retrier.MaxDelaySeconds) / speed;
    }
    for (const part of [state, ...objects(state.Catch)]) if (part.ResultPath === '$') delete part.ResultPath;
    for (const inner of machinesIn(state)) adapt(inner, speed);
    if (state.Type === 'Wait') machine.States[name] = waitAsTask(state);
  }
}

/** The engine resolves the paths, so that a missing value is its own States.Runtime; the handler waits. */
function waitAsTask({ Seconds, SecondsPath, Timestamp, TimestampPath, ...rest }: Asl): Asl {
  return {
    ...rest,
    Type: 'Task',
    Resource: WAIT_RESOURCE,
    TimeoutSeconds: LONGEST_TIMER_SECONDS,
    Parameters: {
      'input.$': '$',
      ...(Seconds !== undefined && { seconds: Seconds }),
      ...(SecondsPath !== undefined && { 'seconds.$': SecondsPath }),
      ...(Timestamp !== undefined && { until: Timestamp }),
      ...(TimestampPath !== undefined && { 'until.$': TimestampPath }),
    },
  };
}

function timerSeconds(seconds: unknown, speed: number): number {
  return Math.min(
    typeof seconds === 'number' ? seconds / speed : LONGEST_TIMER_SECONDS,
    LONGEST_TIMER_SECONDS,
  );
}

function objects(value: unknown): Asl[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/**
 * The document with `${Name}` replaced, as CloudFormation's DefinitionSubstitutions do; names without a value stay.
 */
export function substitute(definition: Asl, values: Record<string, string>): Asl {
  return mapStrings(definition, (text) =>
    text.replace(/\$\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole),
  ) as Asl;
}
