import { reasonOf } from '../http/reason.ts';

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

/** The server showed a certificate that is not trusted; the cause is a CertificateMismatch. Nothing was sent. */
export class XapiCertificateMismatch extends Error {
  override readonly name = 'XapiCertificateMismatch';
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
