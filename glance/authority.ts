import { buildConnector } from 'undici';

/**
 * PEM of the authorities that may vouch for a server's certificate, or what tells it for each new connection; without
 * any, those that Node knows.
 */
export type Authority = string | (() => string | undefined);

/** Connects to servers that one of the authorities vouches for. */
export function vouchedConnector(ca: Authority | undefined, timeoutMs: number): buildConnector.connector {
  const tell = typeof ca === 'function' ? ca : () => ca;
  let last: { readonly pem: string | undefined; readonly connect: buildConnector.connector } | undefined;
  return (options, callback) => {
    const pem = tell();
    if (last?.pem !== pem || last === undefined)
      last = {
        pem,
        connect: buildConnector({
          timeout: timeoutMs,
          allowH2: false,
          ...(pem !== undefined && { ca: pem }),
        }),
      };
    last.connect(options, callback);
  };
}
