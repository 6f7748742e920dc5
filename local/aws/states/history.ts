import type { StateMachine } from 'aws-local-stepfunctions';
import { epochSeconds } from '../json-service.ts';
import type { StateFacts } from './definition.ts';

/** One event as GetExecutionHistory returns it; the details' member is named after the type. */
export type HistoryEvent = { id: number; previousEventId: number; timestamp: number; type: string } & Record<
  string,
  unknown
>;

/** Adds an event to an execution's history; does nothing once the execution has ended. */
export type AppendEvent = (type: string, details: Record<string, unknown> | undefined) => void;

/** What the engine reports while it runs. */
export type EngineEvent =
  ReturnType<StateMachine['run']>['eventLogs'] extends AsyncGenerator<infer Event> ? Event : never;

/** An execution's events; one that has not ended by the last but one fails with the last. */
export const HISTORY_LIMIT = 25_000;

/** Shapes one event. State events of every type share the names of their details. */
export function historyEvent(
  id: number,
  time: Date,
  type: string,
  details: Record<string, unknown> | undefined,
): HistoryEvent {
  const field = /State(Entered|Exited)$/.exec(type)?.[1];
  const key = field ? `state${field}EventDetails` : `${type[0]?.toLowerCase()}${type.slice(1)}EventDetails`;
  return {
    id,
    previousEventId: id === 1 ? 0 : id - 1,
    timestamp: epochSeconds(time),
    type,
    ...(details && { [key]: details }),
  };
}

/** What went into states and tasks, and came out. */
const DATA = new Set(['input', 'output', 'parameters']);

/** An event as GetExecutionHistory gives it with `includeExecutionData: false`. */
export function withoutData(event: HistoryEvent): HistoryEvent {
  const kept = Object.entries(event).map(([name, value]) => {
    if (!name.endsWith('EventDetails') || value === null || typeof value !== 'object') return [name, value];
    return [name, Object.fromEntries(Object.entries(value).filter(([key]) => !DATA.has(key)))];
  });
  return Object.fromEntries(kept);
}

/**
 * Appends what an event of the engine's is in AWS's terms. The start and end of the execution and what happens inside
 * a task are written where they happen; the engine's notes of a failure, a retry or a catch have no event in AWS.
 */
export function appendEngineEvent(
  event: EngineEvent,
  facts: Map<string, StateFacts>,
  append: AppendEvent,
): void {
  switch (event.type) {
    case 'StateEntered': {
      const { name, input } = event.state;
      append(`${facts.get(name)?.type ?? event.state.type}StateEntered`, {
        name,
        input: JSON.stringify(input),
      });
      return;
    }
    case 'StateExited': {
      const { name, output } = event.state;
      append(`${facts.get(name)?.type ?? event.state.type}StateExited`, {
        name,
        output: JSON.stringify(output),
      });
      return;
    }
    case 'MapIterationStarted':
    case 'MapIterationSucceeded':
    case 'MapIterationFailed':
      append(event.type, { name: event.parentState.name, index: event.index });
      return;
    default:
  }
}
