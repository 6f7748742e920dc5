/**
 * Whether a request failed before any of it could leave this machine: no name, no route, nobody who listens, no
 * connection in time, or a certificate that is not trusted. Such a request has had no effect for sure. Node names the
 * system call that failed; on a connection that stands these are `read` and `write`.
 * @param error as the client threw it, with what was behind it as `cause`
 */
export function wasNeverSent(error: unknown): boolean {
  for (let cause = error, depth = 0; cause instanceof Error && depth < MOST_CAUSES; depth++) {
    // Of a host with several addresses, each was tried.
    if (cause instanceof AggregateError) return cause.errors.length > 0 && cause.errors.every(wasNeverSent);
    const { syscall, code } = cause as NodeJS.ErrnoException;
    if (syscall === 'connect' || syscall === 'getaddrinfo') return true;
    if (code !== undefined && NO_CONNECTION.test(code)) return true;
    cause = cause.cause;
  }
  return false;
}

const MOST_CAUSES = 5;

/** Of undici for a connection that took too long, and of OpenSSL and Node for a certificate. */
const NO_CONNECTION =
  /^(UND_ERR_CONNECT_TIMEOUT|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_[A-Z_]+|CERT_[A-Z_]+|ERR_TLS_CERT_ALTNAME_INVALID)$/;
