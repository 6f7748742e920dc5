"""Writes to a disk in a thread of their own."""
import threading
import time

from .block_device import BlockDevice, aligned_buffer, disk_error
from .channel import Left
from .deflate import BLOCK_BYTES, ZERO_BLOCK
from .pythons import queue
from .timing import WATCH_EVERY_SECONDS

WRITE_BYTES = 1 << 20  # at a time
WRITE_BUFFERS = 4
STOP_WRITER_SECONDS = 1.0


class DiskWriter(object):
    """Takes from one thread what is to be written where; it learns of a trouble at one of its next calls. What follows each
    other is written together. `limit` holds it back; `count(size)` gets what was written."""

    def __init__(self, path, limit, count):
        self.path, self.limit, self.count = path, limit, count
        self.trouble = None
        self.left = False
        self.at = self.used = 0
        self.buffer = None
        try:
            self.device = BlockDevice(path)
        except (IOError, OSError) as exc:
            raise disk_error(exc, path)
        self.size = self.device.size
        self.free = queue.Queue()
        for _ in range(WRITE_BUFFERS):
            self.free.put(aligned_buffer(WRITE_BYTES))
        self.zeros, self.there = aligned_buffer(WRITE_BYTES), None
        self.jobs = queue.Queue(2 * WRITE_BUFFERS)
        self.thread = threading.Thread(target=self.work)
        self.thread.daemon = True  # one that hangs in a dead SR must not hold the process
        self.thread.start()

    def write(self, offset, data, begin, end):
        """data[begin:end], which is copied at once."""
        data = memoryview(data)
        while begin < end:
            if self.buffer and (self.at + self.used != offset or self.used == WRITE_BYTES):
                self.hand_over()
            if not self.buffer:
                self.buffer, self.at, self.used = self.free.get(), offset, 0
            size = min(end - begin, WRITE_BYTES - self.used)
            self.buffer[self.used:self.used + size] = data[begin:begin + size]
            self.used += size
            begin += size
            offset += size

    def hand_over(self):
        """What is held goes out before anything that is given from now on."""
        buffer, self.buffer = self.buffer, None
        if buffer:
            self.give(self.put_buffer, buffer, self.at, self.used)

    def write_zeros(self, offset, length):
        self.give(self.put_zeros, None, offset, length)

    def make_zero(self, offset, length):
        """Reads, and writes where there is something else."""
        self.give(self.put_zeros_where_needed, None, offset, length)

    def give(self, job, *what):
        if self.trouble:
            raise self.trouble
        self.jobs.put((job, what))

    def flush(self):
        """Once it returns, all is on the disk's own medium."""
        self.hand_over()
        done = threading.Event()
        self.give(self.sync, done)
        done.wait()
        if self.trouble:
            raise self.trouble

    def work(self):
        for job, what in iter(self.jobs.get, None):
            try:
                job(*what)
            except (IOError, OSError) as exc:
                self.trouble = self.trouble or disk_error(exc, self.path)
            except Exception as exc:
                self.trouble = self.trouble or exc
            if self.left:
                break
        self.device.close()  # by this thread: a slow write may end after all others have left, and until then no unplug succeeds

    def sync(self, done):
        try:
            if not self.trouble:
                self.device.sync()
        except (IOError, OSError) as exc:
            self.trouble = disk_error(exc, self.path)
        done.set()

    def put_buffer(self, buffer, offset, size):
        try:
            self.put(buffer[:size], offset)
        finally:
            self.free.put(buffer)

    def put(self, view, offset):
        if self.trouble:
            return  # what is still waiting comes to nothing
        self.wait_for_turn(len(view))
        self.device.write(view, offset)
        self.count(len(view))

    def put_zeros(self, _none, offset, length):
        while length and not self.trouble:
            size = min(length, WRITE_BYTES)
            self.put(self.zeros[:size], offset)
            offset += size
            length -= size

    def put_zeros_where_needed(self, _none, offset, length):
        self.there = self.there or aligned_buffer(WRITE_BYTES)
        while length and not self.trouble:
            size = min(length, WRITE_BYTES)
            self.wait_for_turn(size)
            self.device.read_into(self.there[:size], offset)
            for at in range(0, size, BLOCK_BYTES):
                much = min(BLOCK_BYTES, size - at)
                if self.there[at:at + much].tobytes() != ZERO_BLOCK[:much]:
                    self.put(self.zeros[:much], offset + at)
            offset += size
            length -= size

    def wait_for_turn(self, size):
        while self.limit.seconds_left():
            if self.trouble:
                raise self.trouble
            time.sleep(min(self.limit.seconds_left(), WATCH_EVERY_SECONDS))
        self.limit.take(size)

    def close(self):
        """What waits is not written any more. False where the thread hangs, and the disk stays open until it no longer does."""
        self.trouble, self.left = self.trouble or Left(), True
        try:
            self.jobs.put_nowait(None)
        except queue.Full:
            pass  # then it is at work, and looks whether it is to end
        self.thread.join(2 * STOP_WRITER_SECONDS)
        return not self.thread.is_alive()
