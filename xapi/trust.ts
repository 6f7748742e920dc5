import { X509Certificate } from 'node:crypto';
import { createSecureContext, getCACertificates, TLSSocket } from 'node:tls';
import { buildConnector } from 'undici';
import { XapiCertificateMismatch } from './transport-errors.ts';

/** Whom to believe: a host that shows one of these certificates, or one that a CA vouches for. */
export interface Trust {
  /** SHA-256 fingerprints as {@link parseFingerprint} gives them. Where there is one, no CA is asked. */
  readonly fingerprints: readonly string[];
  /** Tells PEM of the CAs to ask instead of Node's and the system's; asked for each connection. */
  readonly ca: (() => string | undefined) | undefined;
}

/**
 * A SHA-256 fingerprint in the form that node:tls gives, `AB:CD:…`, from colons or plain hex in either case.
 * @throws TypeError when it is none
 */
export function parseFingerprint(text: string): string {
  const hex = text.trim().replaceAll(':', '').toUpperCase();
  if (!/^[0-9A-F]{64}$/.test(hex)) {
    throw new TypeError(`not a SHA-256 certificate fingerprint (64 hex digits): ${JSON.stringify(text)}`);
  }
  return hex.match(/../g)?.join(':') ?? '';
}

/**
 * The PEM itself, once it is seen to hold a certificate: node:tls takes any text without a word, and trusts nobody.
 * @throws TypeError when it holds none
 */
export function parseAuthority(pem: string): string {
  try {
    new X509Certificate(pem);
    return pem;
  } catch (cause) {
    throw new TypeError('the CA is no certificate in PEM', { cause });
  }
}

/**
 * Connects, and looks at the certificate between the TLS handshake and the first byte of a request, so that a
 * password never reaches a host that is not trusted. node:tls is told not to reject because it would do so before the
 * fingerprint can be read: what to pin is the most useful thing to tell an operator whose hosts sign for themselves,
 * as every XenServer does. No TLS session is resumed, since a resumed one is not checked against the host's name.
 */
export function trustingConnector(trust: Trust, timeoutMs: number): buildConnector.connector {
  const plain = buildConnector({ timeout: timeoutMs });
  let secure: buildConnector.connector | undefined;
  let secureFor: string | undefined;
  const connectorFor = (protocol: string) => {
    if (protocol !== 'https:') return plain;
    const ca = trust.ca?.();
    if (secure && ca === secureFor) return secure;
    secureFor = ca;
    secure = buildConnector({
      allowH2: false,
      maxCachedSessions: 0,
      rejectUnauthorized: false,
      timeout: timeoutMs,
      secureContext: createSecureContext(
        trust.fingerprints.length > 0 ? {} : { ca: ca ?? knownAuthorities() },
      ),
    });
    return secure;
  };
  return (options, callback) =>
    connectorFor(options.protocol)(options, (...[error, socket]) => {
      if (error) return callback(error, null);
      const address = `${options.protocol}//${options.host ?? options.hostname}`;
      const refusal = socket instanceof TLSSocket ? distrust(socket, trust, address) : undefined;
      if (refusal === undefined) return callback(null, socket);
      socket.on('error', () => {}).destroy();
      callback(refusal, null);
    });
}

function knownAuthorities(): string[] {
  return [...getCACertificates('default'), ...getCACertificates('system')];
}

function distrust(socket: TLSSocket, trust: Trust, address: string): XapiCertificateMismatch | undefined {
  const actual = socket.getPeerX509Certificate()?.fingerprint256 ?? '(none)';
  const expected = trust.fingerprints;
  if (expected.length > 0) {
    if (expected.includes(actual)) return undefined;
    const problem = `the certificate is not the pinned one, expected SHA-256 fingerprint ${expected.join(' or ')}`;
    return new XapiCertificateMismatch(address, expected, actual, problem);
  }
  if (socket.authorized) return undefined;
  const problem = `no trusted CA vouches for the certificate (${socket.authorizationError})`;
  return new XapiCertificateMismatch(address, [], actual, problem);
}
