import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LocalClock } from '../../clock.ts';
import { LONGEST_TIMER_SECONDS, type StateFacts } from './definition.ts';
import {
  checkPayload,
  ExecutionOver,
  FatalStateError,
  lambdaFailure,
  lambdaTimeout,
  TaskFailure,
} from './failures.ts';
import type { AppendEvent } from './history.ts';
import type { TaskTokens } from './tokens.ts';

/** A Lambda handler: the event in, the result out; `stopping` is aborted only when the whole service is closed. */
export type Handler = (input: unknown, stopping: AbortSignal) => Promise<unknown>;

/** Sends what a `sqs:sendMessage.waitForTaskToken` state asks for; a thrown error fails the state as `SQS.<name>`. */
export type SendMessage = (
  queueUrl: string,
  body: string,
  groupId: string | undefined,
  deduplicationId?: string,
) => Promise<void>;

/** A Task state of an execution, in AWS's sense of the word. */
export interface TaskContext {
  readonly stateName: string;
  readonly facts: StateFacts;
  readonly append: AppendEvent;
  /** Its Lambda's own timeout, in the document's seconds and in real milliseconds; absent where it has none. */
  readonly lambda?: { readonly seconds: number; readonly milliseconds: number } | undefined;
  /** Aborted when the execution has ended in whatever way. */
  readonly over: AbortSignal;
}

type LocalHandler = (input: unknown) => Promise<unknown>;

/**
 * Runs a handler as Lambda would: what goes in and comes out has been JSON, an error arrives with its name and with
 * Lambda's JSON as the cause. Lambda ends a handler at its own timeout, which is Sandbox.Timedout; here nothing can end
 * it, so that it goes on and is not listened to any more. The handler starts a turn of the event loop later, when the
 * history has caught up, and goes on unnoticed when its task times out or the execution is stopped.
 */
export function lambdaTask(task: TaskContext, handler: Handler, stopping: AbortSignal): LocalHandler {
  const { stateName, facts, append, lambda, over } = task;
  return (input) =>
    supervise(
      task,
      () => append('LambdaFunctionTimedOut', { error: 'States.Timeout' }),
      async (current) => {
        await nextTurn();
        if (over.aborted) throw new ExecutionOver();
        const event = JSON.stringify(input);
        checkPayload(stateName, event);
        append('LambdaFunctionScheduled', { resource: facts.resource, input: event });
        append('LambdaFunctionStarted', undefined);
        let output: string;
        try {
          const result = endedByLambda(handler(JSON.parse(event), stopping), lambda);
          output = JSON.stringify(await result) ?? 'null';
        } catch (thrown) {
          const failure = thrown instanceof TaskFailure ? thrown : lambdaFailure(thrown);
          if (current()) append('LambdaFunctionFailed', { error: failure.name, cause: failure.message });
          throw failure;
        }
        checkPayload(stateName, output);
        if (current()) append('LambdaFunctionSucceeded', { output });
        return JSON.parse(output);
      },
    );
}

/** What the handler gives, or Sandbox.Timedout when it takes longer than its Lambda may. */
function endedByLambda(work: Promise<unknown>, lambda: TaskContext['lambda']): Promise<unknown> {
  if (!lambda) return work;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(lambdaTimeout(lambda.seconds)), lambda.milliseconds);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Sends the message with the token that the state's Parameters took, and waits for the token's return. */
export function callbackTask(
  task: TaskContext,
  sendMessage: SendMessage,
  tokens: TaskTokens,
  takeToken: () => string | undefined,
): LocalHandler {
  const { stateName, append, over } = task;
  const resource = { resourceType: 'sqs', resource: 'sendMessage.waitForTaskToken' };
  return (input) => {
    const token = takeToken();
    const timedOut = () => append('TaskTimedOut', { ...resource, error: 'States.Timeout' });
    return supervise(
      task,
      timedOut,
      async (current) => {
        await nextTurn();
        if (over.aborted) throw new ExecutionOver();
        if (token === undefined)
          throw new FatalStateError('States.Runtime', `${stateName} has no $$.Task.Token`);
        const parameters = JSON.stringify(input);
        checkPayload(stateName, parameters);
        append('TaskScheduled', { ...resource, region: 'us-east-1', parameters });
        append('TaskStarted', resource);
        try {
          await send(JSON.parse(parameters), sendMessage);
          append('TaskSubmitted', resource);
          const output = await tokens.answer(token);
          if (current()) append('TaskSucceeded', { ...resource, output: JSON.stringify(output) });
          return output;
        } catch (error) {
          if (current() && error instanceof TaskFailure)
            append('TaskFailed', { ...resource, error: error.name, cause: error.message });
          throw error;
        }
      },
      () => token !== undefined && tokens.close(token),
    );
  };
}

/** Waits by the clock: `seconds`, or until a time of the clock's; what came in is the result. */
export function waitTask(
  { over, stateName }: TaskContext,
  clock: LocalClock,
  override?: number,
): LocalHandler {
  return async (parameters) => {
    await nextTurn();
    const { input, seconds, until } = parameters as { input: unknown; seconds?: unknown; until?: unknown };
    const left = override ?? seconds ?? (Date.parse(String(until)) - clock.now().getTime()) / 1000;
    if (typeof left !== 'number' || !Number.isFinite(left) || (seconds !== undefined && !isWhole(seconds)))
      throw new FatalStateError(
        'States.Runtime',
        `${stateName} cannot wait for ${JSON.stringify(seconds ?? until)}`,
      );
    if (left > 0)
      await clock.sleep(Math.min(left, LONGEST_TIMER_SECONDS * clock.speed), over).catch(() => {
        throw new ExecutionOver();
      });
    return input;
  };
}

function isWhole(seconds: unknown): boolean {
  return Number.isInteger(seconds) && Number(seconds) >= 0;
}

async function send(parameters: Record<string, unknown>, sendMessage: SendMessage): Promise<void> {
  const { QueueUrl, MessageBody, MessageGroupId, MessageDeduplicationId } = parameters;
  const body = typeof MessageBody === 'string' ? MessageBody : JSON.stringify(MessageBody);
  const text = (value: unknown) => (value === undefined ? undefined : String(value));
  try {
    await sendMessage(String(QueueUrl), body, text(MessageGroupId), text(MessageDeduplicationId));
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    throw new TaskFailure(`SQS.${name}`, message);
  }
}

/**
 * Settles like the work; rejects with ExecutionOver when the execution ends; and stays silent once the task's time is
 * up, for only the engine can raise a timeout that States.TaskFailed does not match: its timer has the same length
 * and was set a moment after this one. `current` tells the work whether anybody still listens.
 */
function supervise(
  { facts, over }: TaskContext,
  onTimeout: () => void,
  work: (current: () => boolean) => Promise<unknown>,
  onSettled?: () => void,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let listening = true;
    const settle = (then: () => void) => {
      if (!listening) return;
      listening = false;
      clearTimeout(timer);
      over.removeEventListener('abort', stop);
      onSettled?.();
      then();
    };
    const timer = setTimeout(() => settle(onTimeout), facts.timeoutMs);
    const stop = () => settle(() => reject(new ExecutionOver()));
    over.addEventListener('abort', stop);
    work(() => listening).then(
      (result) => settle(() => resolve(result)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}
