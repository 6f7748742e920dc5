"""Connections by TCP and by unix socket."""
import errno
import os
import socket
import time

from .timing import WATCH_EVERY_SECONDS, clock
from .wire import ConnectionTrouble, Wire

CONNECT_SECONDS = 20  # for one address of a name; for all of them, the job's timeoutSeconds


def connect_tcp(host, port, watch, timeout_seconds):
    try:
        addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as exc:
        raise ConnectionTrouble('cannot resolve %s (%s)' % (host, exc))
    trouble, deadline = None, clock() + timeout_seconds
    for family, kind, protocol, _name, address in addresses:
        sock = socket.socket(family, kind, protocol)
        wire = Wire(sock, watch, min(timeout_seconds, CONNECT_SECONDS))
        try:
            failed = sock.connect_ex(address)
            if failed == errno.EINPROGRESS:
                wire.wait(False, True, min(clock() + wire.timeout_seconds, deadline))
                failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failed:
                raise ConnectionTrouble(os.strerror(failed))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire.timeout_seconds = timeout_seconds
            return wire
        except ConnectionTrouble as exc:
            trouble = exc
            wire.close()
        except BaseException:
            wire.close()
            raise
        if clock() > deadline:
            break
    raise ConnectionTrouble('cannot connect to %s port %d: %s' % (host, port, trouble))


def connect_unix(path, watch, timeout_seconds):
    """A socket of this kind says EAGAIN while its listener has too many that wait to be accepted."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    wire, deadline = Wire(sock, watch, timeout_seconds), clock() + timeout_seconds
    try:
        failed = sock.connect_ex(path)
        while failed == errno.EAGAIN and clock() < deadline:
            watch()
            time.sleep(WATCH_EVERY_SECONDS)
            failed = sock.connect_ex(path)
    except BaseException:
        wire.close()
        raise
    if failed:
        wire.close()
        raise ConnectionTrouble('cannot connect to %s (%s)' % (path, os.strerror(failed)))
    return wire
