/** What an input, a result or an output may measure, in bytes of UTF-8 (Step Functions' quota for payloads). */
export const PAYLOAD_LIMIT_BYTES = 262_144;

/**
 * An error that ends an execution past Retry and Catch, as AWS has it for States.Runtime and
 * States.DataLimitExceeded. `isRetryable` and `isCatchable` are what the engine asks an error for.
 */
export class FatalStateError extends Error {
  override readonly name: string;
  readonly isRetryable = false;
  readonly isCatchable = false;
  constructor(name: 'States.DataLimitExceeded' | 'States.Runtime', message: string) {
    super(message);
    this.name = name;
  }
}

/** The execution has ended while this state was at work: nothing may be retried or caught any more. */
export class ExecutionOver extends Error {
  override readonly name = 'ExecutionOver';
  readonly isRetryable = false;
  readonly isCatchable = false;
}

/** A task's failure as the state machine sees it: the error's name, and a cause that is a string. */
export class TaskFailure extends Error {
  override readonly name: string;
  constructor(name: string, cause: string) {
    super(cause);
    this.name = name;
  }
}

/** What Lambda's Node runtime makes of an error that a handler threw, and Step Functions passes on as the Cause. */
export function lambdaFailure(thrown: unknown): TaskFailure {
  const error = thrown instanceof Error ? thrown : undefined;
  const errorType = error?.name ?? typeof thrown;
  const errorMessage = error?.message ?? String(thrown);
  const trace = error?.stack?.split('\n') ?? [];
  return new TaskFailure(errorType, JSON.stringify({ errorType, errorMessage, trace }));
}

/** What Step Functions sees of a Lambda that was ended by its own timeout. */
export function lambdaTimeout(seconds: number): TaskFailure {
  const errorType = 'Sandbox.Timedout';
  const errorMessage = `RequestId: ${crypto.randomUUID()} Error: Task timed out after ${seconds.toFixed(2)} seconds`;
  return new TaskFailure(errorType, JSON.stringify({ errorType, errorMessage }));
}

/** @throws FatalStateError States.DataLimitExceeded when `json` is larger than a payload may be */
export function checkPayload(stateName: string, json: string): void {
  const cause = tooLarge(stateName, json);
  if (cause) throw new FatalStateError('States.DataLimitExceeded', cause);
}

/** Says why `json` cannot be a state's payload, if it cannot. */
export function tooLarge(stateName: string, json: string): string | undefined {
  if (Buffer.byteLength(json) <= PAYLOAD_LIMIT_BYTES) return undefined;
  return `The state/task '${stateName}' returned a result with a size exceeding the maximum number of bytes service limit.`;
}
