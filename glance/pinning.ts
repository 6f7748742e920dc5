import { timingSafeEqual } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import { buildConnector } from 'undici';
import { GlanceCertificateMismatch } from './errors.ts';

/**
 * Connects only to the server whose certificate has this SHA-256 fingerprint, self-signed or not; colons and case
 * do not matter.
 * @param service who is asked, for the error
 */
export function pinnedConnector(
  fingerprint: string,
  timeoutMs: number,
  service: string,
): buildConnector.connector {
  const expected = digest(fingerprint);
  // No cached TLS sessions: a resumed handshake need not show the certificate again.
  const connect = buildConnector({
    timeout: timeoutMs,
    allowH2: false,
    rejectUnauthorized: false,
    maxCachedSessions: 0,
  });
  return (options, callback) =>
    connect(options, (...[error, socket]) => {
      if (error) return callback(error, null);
      const shown = socket instanceof TLSSocket ? socket.getPeerCertificate().fingerprint256 : undefined;
      if (shown !== undefined && timingSafeEqual(digest(shown), expected)) return callback(null, socket);
      socket.destroy();
      const found = shown ? `has the certificate ${shown}` : 'does not speak TLS';
      const message = `${service} at ${options.protocol}//${options.hostname}:${options.port} ${found}, not the pinned ${fingerprint}`;
      callback(
        new GlanceCertificateMismatch(`${message}: check the server before you pin the new one`),
        null,
      );
    });
}

function digest(fingerprint: string): Buffer {
  const hex = fingerprint.replaceAll(':', '').toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(hex))
    throw new TypeError(`${fingerprint} is no SHA-256 fingerprint (64 hex digits)`);
  return Buffer.from(hex, 'hex');
}
