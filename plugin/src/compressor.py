"""Threads that read chunks ahead and deflate them; what they make comes out in order."""
import collections
import errno
import fcntl
import os
import select
import struct
import threading

from .crc import CrcJoiner
from .deflater import Deflater
from .errors import PluginError
from .guests_first import RateLimit
from .pythons import queue
from .timing import WATCH_EVERY_SECONDS, clock, never_stop

STOP_THREADS_SECONDS = 2.0
READ_LIMIT_SECONDS = 960  # for the next stretch of the source; a little more than an export allows its sender


class GzipCompressor(object):
    """Makes one gzip member of many chunks (streaming readers fail on several members), without time or
    name. Threads deflate the chunks; they come out in order, the same bytes whatever the number of threads.
    `watch` is called at least every 0.2 s of waiting and may raise to stop. `limit` holds back what is read
    from the source. `libraries` is what load_libraries gave. For one use."""

    HEADER = b'\x1f\x8b\x08\0\0\0\0\0\0\xff'
    END = b'\x03\0'  # an empty block, the last one

    def __init__(self, level, threads, watch=never_stop, limit=None, libraries=None):
        self.level = level
        self.libraries = libraries
        self.watch = watch
        self.limit = limit or RateLimit(None)
        self.window = 2 * threads + 1  # chunks that are in memory, waiting or done
        self.waiting = queue.Queue()
        self.stopped = False
        self.threads = []
        self.bell = os.pipe()  # rung when a chunk is done: waits with a limit are slow in Python 2.7's queue
        for fd in self.bell:
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)
        for _ in range(threads):
            self.threads.append(threading.Thread(target=self.work))
            self.threads[-1].daemon = True  # one that hangs in a dead NFS server must not hold the process
            self.threads[-1].start()

    def work(self):
        deflater = None
        for chunk in iter(self.waiting.get, None):
            try:
                if not self.stopped:
                    deflater = deflater or self.a_deflater()
                    chunk.deflated, chunk.crc = deflater(chunk.size, chunk.fill)
            except Exception as exc:
                chunk.trouble = exc
            chunk.fill = None
            chunk.done = True
            self.ring()
        if deflater:
            deflater.close()

    def a_deflater(self):
        """For one thread."""
        return Deflater(self.level, self.libraries)

    def ring(self):
        try:
            os.write(self.bell[1], b'!')
        except OSError:
            pass  # full: it has been rung

    def compress(self, chunks):
        """Yield (chunk, its bytes); the first has those of gzip's header before, and the last, without a
        chunk, is gzip's end."""
        crc, size, joiner = 0, 0, CrcJoiner()
        held = self.HEADER
        for chunk in self.in_order(chunks):
            crc = joiner.join(crc, chunk.crc, chunk.size)
            size += chunk.size
            yield chunk, held + chunk.deflated
            held = b''
        yield None, held + self.END + struct.pack('<II', crc, size & 0xffffffff)

    def in_order(self, chunks):
        pending = collections.deque()
        for chunk in chunks:
            while len(pending) == self.window or self.limit.seconds_left():
                if pending and (pending[0].done or len(pending) == self.window):
                    yield self.finished(pending.popleft())
                else:
                    self.pause(self.limit.seconds_left())
            if chunk.part:
                self.limit.take(chunk.size)
            pending.append(chunk)
            self.waiting.put(chunk)
        while pending:
            yield self.finished(pending.popleft())

    def finished(self, chunk):
        """The first of those that are waited for, so that nothing but its own read holds it up."""
        end = clock() + READ_LIMIT_SECONDS
        while not chunk.done:
            if clock() > end:
                raise PluginError('SR_IO_ERROR', 'nothing could be read for %d seconds' % READ_LIMIT_SECONDS, True)
            self.pause(WATCH_EVERY_SECONDS)
        if chunk.trouble:
            raise chunk.trouble
        return chunk

    def pause(self, seconds):
        """Until a chunk is done, but not for long."""
        self.watch()
        try:
            if select.select([self.bell[0]], [], [], min(seconds, WATCH_EVERY_SECONDS))[0]:
                os.read(self.bell[0], 4096)
        except (select.error, OSError) as exc:  # Python 2.7 does not retry after a signal
            if exc.args[0] != errno.EINTR:
                raise

    def close(self):
        """Stop the threads, and wait for them: they read files that are to be closed."""
        self.stopped = True
        for _ in self.threads:
            self.waiting.put(None)
        end = clock() + STOP_THREADS_SECONDS
        for thread in self.threads:
            thread.join(max(end - clock(), 0))
        if not any(thread.is_alive() for thread in self.threads):
            for fd in self.bell:
                os.close(fd)


class RawCompressor(GzipCompressor):
    """The same thread that reads ahead, without compression: for a disk that is sent as it is."""

    def __init__(self, watch, limit):
        GzipCompressor.__init__(self, None, 1, watch, limit)

    def a_deflater(self):
        return Copier()

    def compress(self, chunks):
        for chunk in self.in_order(chunks):
            yield chunk, chunk.deflated


class Copier(object):
    def __call__(self, size, fill):
        data = bytearray(size)
        fill(memoryview(data))
        return bytes(data), 0

    def close(self):
        pass
