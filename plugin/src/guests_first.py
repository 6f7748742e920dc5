"""Guests first: niceness, idle disk I/O, and a limit to the rate."""
import os
import sys

from .pythons import ctypes
from .timing import clock

IOPRIO_SET_NUMBERS = {'x86_64': 251, 'i386': 289, 'i686': 289, 'aarch64': 30}
IOPRIO_WHO_PROCESS, IOPRIO_CLASS_IDLE = 1, 3 << 13


def give_way(nice):
    """Let guests go first: for the threads that are started from now on, too. Neither is worth a failure."""
    try:
        os.nice(nice)
    except OSError:
        pass
    machine = os.uname()[4]
    if machine == 'x86_64' and sys.maxsize < 1 << 32:
        machine = 'i386'
    if ctypes and machine in IOPRIO_SET_NUMBERS:
        ctypes.CDLL(None).syscall(IOPRIO_SET_NUMBERS[machine], IOPRIO_WHO_PROCESS, 0, IOPRIO_CLASS_IDLE)


def cpu_count():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Python 2.7
        return os.sysconf('SC_NPROCESSORS_ONLN')


class RateLimit(object):
    """A token bucket that may go into debt: whoever finds it not empty takes as much as needed. It holds a
    tenth of a second's bytes at most, so that a pause is not followed by a burst."""

    def __init__(self, bytes_per_second):
        self.rate = bytes_per_second
        self.tokens = 0.0
        self.filled_at = clock()

    def seconds_left(self):
        """How long to wait before the next `take`; 0 when it may be now."""
        if not self.rate:
            return 0
        now = clock()
        self.tokens = min(self.rate / 10.0, self.tokens + max(now - self.filled_at, 0) * self.rate)
        self.filled_at = now
        return max(-self.tokens / self.rate, 0)

    def take(self, size):
        self.tokens -= size
