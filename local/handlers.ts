import { wakeLines } from '../functions/queue/wake-lines.ts';
import { reconcileEvent } from '../functions/reconcile.ts';
import type { Runtime } from '../functions/runtime/executions.ts';
import type { JobInput, StepName } from '../statemachine/contract.ts';
import type { StatusChangeEvent } from './aws/states/status-event.ts';
import { STEP_HANDLERS } from './steps.ts';

/** What the services call: a step of a job, and what the rule on an execution's bad end calls. */
export interface LocalHandlers {
  step(name: StepName, state: JobInput): Promise<unknown>;
  ended(event: StatusChangeEvent): Promise<void>;
}

/** The handlers as they are here, in `runtime` once it is there. */
export function handlersIn(runtime: Promise<Runtime>): LocalHandlers {
  return {
    step: async (name, state) => {
      const run = STEP_HANDLERS[name].in(await runtime);
      // Which state it is, the engine says: it only ever hands a step its own.
      return run(state as never);
    },
    // As Lambda hands it on.
    ended: async (event) => wakeLines((await reconcileEvent(event, await runtime)).wake, await runtime),
  };
}
