import { STEPS, type StepName } from '../../statemachine/contract.ts';
import { choose, type Data, type State, startOf, stateOf, valueAt, withResult } from '../asl.ts';
import { imaginedSteps } from './imagined-steps.ts';
import { DEFAULT_TIMINGS, type JobModel, type PollTimings } from './model.ts';
import { STEP_USE } from './step-use.ts';

/** What an execution does from its start to its end. */
export interface Walk {
  /** How often each state is entered. */
  readonly entered: Readonly<Record<string, number>>;
  /** Runs of each step's Lambda, with second tries. */
  readonly runs: Readonly<Partial<Record<StepName, number>>>;
  /** The transitions that AWS charges: states entered, retries, and its own start and end (as its price example counts). */
  readonly transitions: number;
  /** Events of the history, of which AWS allows 25,000. */
  readonly events: number;
  readonly seconds: number;
}

/** Events that a state leaves: a Lambda 5, a callback 6, all others enter and exit; a Fail state is never left. */
const EVENTS = { Lambda: 5, callback: 6, Choice: 2, Wait: 2, Succeed: 2, Fail: 1, retry: 3, startAndEnd: 2 };
const START_AND_END = 2;

/** Goes through the state machine's document as an execution would, with imagined steps and on imagined time. */
export function walk(model: JobModel, timings: PollTimings = DEFAULT_TIMINGS): Walk {
  const steps = imaginedSteps(model, timings);
  const entered: Record<string, number> = {};
  const runs: Partial<Record<StepName, number>> = {};
  let data: Data = {};
  let seconds = 0;
  let events = EVENTS.startAndEnd;

  function runStep(name: StepName, state: State): string | undefined {
    const run = (entered[name] ?? 0) as number;
    seconds += STEP_USE[name].seconds;
    runs[name] = (runs[name] ?? 0) + 1;
    events += EVENTS.Lambda;
    if (model.fails === name) {
      data = withResult(data, state.Catch?.[0]?.ResultPath, {});
      return state.Catch?.[0]?.Next;
    }
    data = withResult(data, state.ResultPath, steps[name]?.(seconds, run));
    return state.Next;
  }

  function enter(name: string): string | undefined {
    const state = stateOf(model.machine, name);
    entered[name] = (entered[name] ?? 0) + 1;
    if (state.Type === 'Task' && name in STEPS) return runStep(name as StepName, state);
    if (state.Type === 'Task') {
      seconds += model.queueSeconds / (model.requeues + 1);
      events += EVENTS.callback;
      return state.Next;
    }
    events += EVENTS[state.Type];
    if (state.Type === 'Choice') return choose(state, data);
    if (state.Type === 'Wait') seconds += Number(valueAt(state.SecondsPath ?? '', data));
    return state.Next;
  }

  for (let name: string | undefined = startOf(model.machine); name !== undefined; ) name = enter(name);
  let retries = 0;
  for (const [name, count] of Object.entries(model.retries) as [StepName, number][]) {
    runs[name] = (runs[name] ?? 0) + count;
    retries += count;
  }
  const states = Object.values(entered).reduce((sum, count) => sum + count, 0);
  return {
    entered,
    runs,
    transitions: states + retries + START_AND_END,
    events: events + retries * EVENTS.retry,
    seconds,
  };
}
