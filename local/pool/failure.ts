/** An error as xapi answers it: a code and its parameters, sent as `Status: Failure` with HTTP 200. */
export class XapiFailure extends Error {
  override readonly name = 'XapiFailure';
  readonly code: string;
  readonly params: readonly string[];

  constructor(code: string, ...params: string[]) {
    super(`${code}(${params.join(', ')})`);
    this.code = code;
    this.params = params;
  }

  /** The `ErrorDescription` of the wire and a task's `error_info`. */
  get description(): string[] {
    return [this.code, ...this.params];
  }
}

/** The connection is to be cut instead of an answer: an injected fault. */
export class ConnectionCut extends Error {
  override readonly name = 'ConnectionCut';
}

/** What xapi answers for an exception of its own (exnHelper.ml): the code if it has one, else INTERNAL_ERROR. */
export function asFailure(error: unknown): XapiFailure {
  if (error instanceof XapiFailure) return error;
  return new XapiFailure('INTERNAL_ERROR', error instanceof Error ? error.message : String(error));
}
