import { createSecureContext, getCACertificates, type SecureContext, TLSSocket } from 'node:tls';
import { buildConnector } from 'undici';
import type { Trust } from './trust.ts';

/** The server showed a certificate that is not trusted. Nothing was sent to it, and no later try mends that by itself. */
export class CertificateMismatch extends Error {
  override readonly name = 'CertificateMismatch';
  /** Pinned fingerprints, or empty where an authority was to vouch. */
  readonly expected: readonly string[];
  /** SHA-256 of the certificate that the server showed, as `AB:CD:…`. */
  readonly actual: string;

  constructor(problem: string, expected: readonly string[], actual: string) {
    super(problem);
    this.expected = expected;
    this.actual = actual;
  }
}

/**
 * Connects, and looks at the certificate between the TLS handshake and the first byte of a request, so that a
 * password never reaches a server that is not trusted: with CertificateMismatch the connection is broken. node:tls is
 * told not to reject because it would do so before the fingerprint can be read: what to pin is the most useful thing to
 * tell an operator whose hosts sign for themselves, as every XenServer does. No TLS session is resumed, since a resumed
 * one is not checked against the host's name.
 */
export function trustingConnector(trust: Trust, timeoutMs: number): buildConnector.connector {
  const isPinned = trust.fingerprints.length > 0;
  const plain = buildConnector({ timeout: timeoutMs });
  let secure: { readonly ca: string | undefined; readonly connect: buildConnector.connector } | undefined;
  const secured = () => {
    const ca = isPinned ? undefined : trust.ca();
    if (secure === undefined || secure.ca !== ca) secure = { ca, connect: connectorFor(ca) };
    return secure.connect;
  };
  const connectorFor = (ca: string | undefined) =>
    buildConnector({
      allowH2: false,
      maxCachedSessions: 0,
      rejectUnauthorized: false,
      timeout: timeoutMs,
      secureContext: ca === undefined && !isPinned ? machineContext() : createSecureContext({ ca }),
    });

  return (options, callback) => {
    let connect: buildConnector.connector;
    try {
      connect = options.protocol === 'https:' ? secured() : plain;
    } catch (error) {
      // What tells the authority now tells none: the next connection asks it again.
      return callback(error as Error, null);
    }
    connect(options, (...[error, socket]) => {
      if (error) return callback(error, null);
      const mismatch = socket instanceof TLSSocket ? mismatchOf(socket, trust) : undefined;
      if (mismatch === undefined) return callback(null, socket);
      socket.on('error', () => {}).destroy();
      callback(mismatch, null);
    });
  };
}

let ofThisMachine: SecureContext | undefined;

/** Node's own authorities with NODE_EXTRA_CA_CERTS, and the system's, or those of SSL_CERT_FILE and SSL_CERT_DIR. */
function machineContext(): SecureContext {
  ofThisMachine ??= createSecureContext({
    ca: [...getCACertificates('default'), ...getCACertificates('system')],
  });
  return ofThisMachine;
}

function mismatchOf(socket: TLSSocket, { fingerprints }: Trust): CertificateMismatch | undefined {
  const shown = socket.getPeerX509Certificate()?.fingerprint256 ?? '(none)';
  if (fingerprints.length > 0 ? fingerprints.includes(shown) : socket.authorized) return undefined;
  const code = String(socket.authorizationError);
  const problem =
    fingerprints.length > 0
      ? `its certificate is not the pinned one: SHA-256 ${fingerprints.join(' or ')} is pinned, ${shown} was shown. ` +
        'Find out why it changed before you pin the new one'
      : `${REASONS[code] ?? 'no trusted CA vouches for its certificate'} (${code}); SHA-256 ${shown} was shown. ` +
        'Pin that fingerprint once you know that it is the right server, or name the CA that vouches for it';
  return new CertificateMismatch(problem, fingerprints, shown);
}

/** What is wrong with a certificate, by the codes of OpenSSL and node:tls; all others are about who signed it. */
const REASONS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
};
