"""The clock for deadlines, how often whoever waits looks around, and times as text."""
import time

WATCH_EVERY_SECONDS = 0.2
clock = getattr(time, 'monotonic', time.time)


def never_stop():
    """The `watch` of calls that are finished even when the job is being stopped."""


def timestamp(seconds=None):
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(seconds))
