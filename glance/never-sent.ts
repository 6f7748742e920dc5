import { CertificateMismatch } from '../http/connector.ts';

/**
 * Whether a request failed before any of it could leave this machine: no name, no route, nobody who listens, no
 * connection in time, or a certificate that is not trusted. Such a request has had no effect for sure. Node names the
 * system call that failed; on a connection that stands these are `read` and `write`.
 * @param error as the client threw it, with what was behind it as `cause`
 */
export function wasNeverSent(error: unknown): boolean {
  for (let cause = error, depth = 0; cause instanceof Error && depth < MOST_CAUSES; depth++) {
    // Where a host has several addresses, each was tried.
    if (cause instanceof AggregateError) return cause.errors.length > 0 && cause.errors.every(wasNeverSent);
    if (cause instanceof CertificateMismatch) return true;
    const { syscall, code } = cause as NodeJS.ErrnoException;
    if (syscall === 'connect' || syscall === 'getaddrinfo') return true;
    if (code === 'UND_ERR_CONNECT_TIMEOUT') return true;
    cause = cause.cause;
  }
  return false;
}

const MOST_CAUSES = 5;
