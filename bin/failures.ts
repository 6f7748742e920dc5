/** Ends the command with one line on standard error and status 1. */
export class CommandFailure extends Error {
  override readonly name: string = 'CommandFailure';
}

/** The command was used wrongly: one line, a hint, and status 2. */
export class UsageFailure extends Error {
  override readonly name = 'UsageFailure';
}

/** Nothing answers at the API's address, or not in time, or something that is not xensnap. */
export class ApiUnreachable extends CommandFailure {
  override readonly name = 'ApiUnreachable';
}

/** What the API says of a refusal; some have further fields, such as `candidates`. */
export interface Refusal {
  readonly name?: string;
  readonly message?: unknown;
  /** Of a request that is wrong: what is wrong with which of its fields. */
  readonly fields?: readonly { readonly field: string; readonly message: string }[];
}

/** The API refused, for the reason that the message gives. */
export class ApiRefused extends CommandFailure {
  override readonly name = 'ApiRefused';
  /** The HTTP status. */
  readonly status: number;
  readonly refusal: Refusal;

  constructor(message: string, status: number, refusal: Refusal = {}) {
    super(message);
    this.status = status;
    this.refusal = refusal;
  }
}

/** Ctrl-C while the command waited; the message says what goes on. Status 130, as of a shell. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}
