"""The way of an image's data: downloaded by the main thread, inflated by another, unpacked by a third."""
import threading

from .channel import Channel, Left
from .gunzip import Gunzip, Regroup
from .stream_reader import StreamReader

COMPRESSED_BYTES = 1 << 20  # that wait to be inflated
PLAIN_BYTES = 1 << 20  # that wait to be unpacked
STOP_PIPELINE_SECONDS = 0.5  # for each thread; who hangs in a dead SR hangs on


class Pipeline(object):
    """`read(reader)` gets the data in a thread of its own; `run` returns what it returns. For one use."""

    def __init__(self, read, gzip):
        self.read, self.gzip = read, gzip
        self.compressed, self.plain = Channel(COMPRESSED_BYTES), Channel(PLAIN_BYTES)
        self.trouble = self.result = None
        self.threads = [threading.Thread(target=self.guarded, args=(work,)) for work in (self.inflate, self.unpack)]

    def run(self, pieces, watch):
        for thread in self.threads:
            thread.daemon = True  # one that hangs in a dead SR must not hold the process
            thread.start()
        try:
            for piece in pieces:
                self.compressed.put(piece, watch)
            self.compressed.end()
            self.wait(watch)
        except Left:
            self.wait(watch)
        finally:
            self.stop()
        return self.result

    def wait(self, watch):
        for thread in self.threads:
            while thread.is_alive():
                thread.join(0.1)
                watch()
        if self.trouble:
            raise self.trouble

    def stop(self):
        self.compressed.leave()
        self.plain.leave()
        for thread in self.threads:
            thread.join(STOP_PIPELINE_SECONDS)

    def guarded(self, work):
        try:
            work()
            return
        except Left:
            pass  # the other end knows why
        except Exception as exc:
            self.trouble = self.trouble or exc
        self.compressed.leave()
        self.plain.leave()

    def inflate(self):
        gunzip = Gunzip() if self.gzip else Regroup()
        for data in iter(self.compressed.take, None):
            for piece in gunzip.pieces(data):
                self.plain.put(piece)
        rest = gunzip.finish()
        if rest:
            self.plain.put(rest)
        self.plain.end()

    def unpack(self):
        self.result = self.read(StreamReader(self.plain.take))
