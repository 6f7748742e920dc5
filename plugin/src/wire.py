"""A connection whose deadlines hold whatever the peer does."""
import errno
import select
import socket
import ssl
import struct

from .timing import WATCH_EVERY_SECONDS, clock

RECEIVE_BYTES = 1 << 16  # what is taken from a socket, or given to it, at a time
MAX_HELD_BYTES = 1 << 17  # that have come and were not looked at yet: whoever reads takes them off in smaller parts
MAX_LINE_BYTES = 8192  # of an answer's head: what nginx and Apache take
PROGRESS_BYTES = 1 << 16  # the least that a peer must take in timeoutSeconds: one that reads byte by byte stands still


class ConnectionTrouble(Exception):
    """The peer cannot be reached, went away, said nothing for too long, or said what nobody should."""


class CertificateTrouble(Exception):
    """TLS came up wrong: not trusted, not the pinned certificate, or no TLS at all."""


class Wire(object):
    """A non-blocking socket. `watch` is called before each step and at least every 0.2 s of waiting, and may raise to
    stop. It and the deadline are looked at whether bytes flow or not."""

    def __init__(self, sock, watch, timeout_seconds):
        sock.setblocking(False)
        self.sock = sock
        self.watch = watch
        self.timeout_seconds = timeout_seconds
        self.received = bytearray()
        self.ended = False

    def wait(self, read, write, deadline):
        fd = self.sock.fileno()
        while True:
            self.watch()
            if clock() > deadline:
                raise ConnectionTrouble('nothing moved for %s seconds' % self.timeout_seconds)
            try:
                ready = select.select([fd] if read else [], [fd] if write else [], [], WATCH_EVERY_SECONDS)
            except (select.error, OSError) as exc:  # Python 2.7 does not retry after a signal
                if exc.args[0] != errno.EINTR:
                    raise
                continue
            if ready[0] or ready[1]:
                return

    def start_tls(self, context, server_name):
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=server_name, do_handshake_on_connect=False)
            deadline = clock() + self.timeout_seconds
            while True:
                try:
                    return self.sock.do_handshake()
                except (ssl.SSLError, socket.error) as exc:
                    wanted = blocked_on(exc)
                    if not wanted:
                        raise
                    self.wait(wanted != 'write', wanted == 'write', deadline)
        except ssl.SSLError as exc:
            # Pythons before 3.10 do not know how OpenSSL 3 says it.
            if exc.args[0] in (ssl.SSL_ERROR_EOF, ssl.SSL_ERROR_SYSCALL, ssl.SSL_ERROR_ZERO_RETURN) \
                    or 'unexpected eof' in str(exc).lower():
                raise ConnectionTrouble('the connection ended during the TLS handshake')
            raise CertificateTrouble(str(exc))
        except ValueError as exc:  # CertificateError, a wrong host name, before Python 3.7; a name that cannot be one
            raise CertificateTrouble(str(exc))
        except socket.error as exc:
            raise ConnectionTrouble(str(exc))

    def send(self, data, on_input=None):
        """Send all of data. `on_input` is called when the peer spoke or left meanwhile; when it returns
        true, sending stops and the result is False."""
        view = memoryview(data)
        deadline, moved = clock() + self.timeout_seconds, 0
        while len(view):
            if on_input and self.pull() and on_input():
                return False
            self.watch()
            try:
                sent = self.sock.send(view[:RECEIVE_BYTES])
                wanted = None if sent else 'write'  # Python 2.7's ssl returns 0 instead of raising
            except (ssl.SSLError, socket.error) as exc:
                sent, wanted = 0, blocked_on(exc)
                if not wanted:
                    self.pull_the_rest()  # the peer closed, but may have said why before
                    if on_input and self.received and on_input():
                        return False
                    raise ConnectionTrouble('the connection broke while sending (%s)' % exc)
            if wanted:
                self.wait(wanted == 'read' or bool(on_input), wanted != 'read', deadline)
                continue
            view = view[sent:]
            moved += sent
            if moved >= PROGRESS_BYTES:
                deadline, moved = clock() + self.timeout_seconds, 0
            elif clock() > deadline:
                raise ConnectionTrouble('the next %d bytes were not taken in %s seconds'
                                        % (moved + len(view), self.timeout_seconds))
        return True

    def pull(self):
        """Take what has arrived, without waiting. True when something did, or the peer ended."""
        if len(self.received) > MAX_HELD_BYTES - RECEIVE_BYTES:
            return True  # to be looked at first
        try:
            data = self.sock.recv(RECEIVE_BYTES)
        except (ssl.SSLError, socket.error) as exc:
            if blocked_on(exc):
                return False
            if not (isinstance(exc, ssl.SSLError) and exc.args[0] == ssl.SSL_ERROR_EOF):
                self.ended = True
                if not self.received:
                    raise ConnectionTrouble('the connection broke (%s)' % exc)
            data = b''
        if data:
            self.received += data
        else:
            self.ended = True
        return True

    def pull_the_rest(self):
        try:
            while not self.ended and len(self.received) <= MAX_HELD_BYTES - RECEIVE_BYTES and self.pull():
                pass
        except ConnectionTrouble:
            pass

    def read_more(self, deadline):
        """Wait for more bytes. False at the end of the stream. They may come one by one, but not for ever."""
        while not self.ended:
            self.watch()
            if clock() > deadline:
                raise ConnectionTrouble('there was no end for %s seconds' % self.timeout_seconds)
            if self.pull():
                return not self.ended
            self.wait(True, False, deadline)
        return False

    def take(self, most_bytes):
        """So many of the bytes that have come, or all that have."""
        data = bytes(self.received[:most_bytes])
        del self.received[:most_bytes]
        return data

    def take_line(self):
        """A line that has come, without its end; None where it is not whole yet."""
        end = self.received.find(b'\r\n', 0, MAX_LINE_BYTES + 2)
        if end < 0:
            if len(self.received) > MAX_LINE_BYTES:
                raise ConnectionTrouble('the answer has a line of more than %d bytes' % MAX_LINE_BYTES)
            return None
        line = self.take(end + 2)[:end]
        if b'\r' in line or b'\n' in line or b'\0' in line:
            raise ConnectionTrouble('the answer is not HTTP')
        return line

    def close(self, hard=False):
        """`hard` sends a reset, so that the peer cannot take what it has for the whole."""
        try:
            if hard:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        except (socket.error, ValueError):
            pass
        self.sock.close()


def blocked_on(exc):
    """'read' or 'write' when a non-blocking call only has to wait, else None."""
    if isinstance(exc, ssl.SSLError):
        return {ssl.SSL_ERROR_WANT_READ: 'read', ssl.SSL_ERROR_WANT_WRITE: 'write'}.get(exc.args[0])
    if exc.args and exc.args[0] in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR):
        return 'any'
    return None
