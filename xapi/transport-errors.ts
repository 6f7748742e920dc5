/** No answer, and certainly no effect: the call was never sent. Refused, unknown name, no connection in time. */
export class XapiUnreachable extends Error {
  override readonly name = 'XapiUnreachable';
}

/** The time that a session had was over before the call was sent. Nothing was done. */
export class XapiTimeUp extends Error {
  override readonly name = 'XapiTimeUp';

  constructor(method: string, seconds: number) {
    super(`${method} was not sent: the calls before it took up the ${seconds} s that there were for all`);
  }
}

/** The call was sent and no answer came: reset, or no answer in time. Whether it took effect is not known. */
export class XapiReplyLost extends Error {
  override readonly name = 'XapiReplyLost';
  readonly method: string;

  constructor(method: string, address: string, cause: unknown) {
    super(`${address}: no answer to ${method} (${reasonOf(cause)}); it may have taken effect`, { cause });
    this.method = method;
  }
}

/** The server is not the one that was pinned, or no CA vouches for it. Nothing was sent. */
export class XapiCertificateMismatch extends Error {
  override readonly name = 'XapiCertificateMismatch';
  /** Pinned fingerprints, or empty where a CA was to vouch. */
  readonly expected: readonly string[];
  /** SHA-256 of the certificate that the server showed, as `AB:CD:…`. */
  readonly actual: string;

  constructor(address: string, expected: readonly string[], actual: string, problem: string) {
    super(`${address}: ${problem}; the certificate's SHA-256 fingerprint is ${actual}`);
    this.expected = expected;
    this.actual = actual;
  }
}

/** An answer that is not XAPI's: another HTTP status than 200, or no XML-RPC. What was done is not known. */
export class XapiProtocolError extends Error {
  override readonly name = 'XapiProtocolError';
}

/** More than the 300 KiB that xapi reads of a request (constants.ml, http_limit_max_rpc_size). Nothing was sent. */
export class XapiRequestTooLarge extends Error {
  override readonly name = 'XapiRequestTooLarge';

  constructor(method: string, bodyBytes: number, limitBytes: number) {
    super(`${method}: the request has ${bodyBytes} bytes, xapi takes at most ${limitBytes}`);
  }
}

/** An argument that XML-RPC cannot carry. Nothing was sent. */
export class XapiRequestInvalid extends Error {
  override readonly name = 'XapiRequestInvalid';
}

/** A cause in a few words; a refused connection to a name with several addresses has a code and no message. */
export function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name;
  return cause.message === '' ? code : cause.message;
}
