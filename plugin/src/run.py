"""A job in progress: its state on record, the signals that it gets, and whether it may go on."""
import collections
import signal
import time

from .dom0 import dom0_seconds
from .errors import PluginError, describe_unexpected, error_fields
from .guests_first import give_way
from .job_state import new_state
from .timing import clock, never_stop

STATE_EVERY_SECONDS = 0.5
END_SECONDS, SIGNALLED_END_SECONDS, CANCELLED_END_SECONDS = 300, 15, 2
RATE_SAMPLES = 20  # of STATE_EVERY_SECONDS each


class Run(object):
    """With the job's lock held. `fields` are those of the state that are this kind of job's own. `still_good` is set by the
    work: it raises once what the work reads or writes is no longer what it was."""

    def __init__(self, files, fields):
        self.files = files
        self.state = dict(new_state('running'), **fields)
        self.still_good = never_stop
        self.written_at = 0.0
        self.began = clock()
        self.transfer_began = None
        self.samples = collections.deque(maxlen=RATE_SAMPLES)  # (time, bytes read) of the last seconds
        self.signalled = None

    def execute(self, nice, work, release):
        """What `work()` returns, which is the job's result; `release()` is called whatever its end, before that is on
        record."""
        give_way(nice)
        self.files.write(self.state)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # xapi may be restarted; the job goes on
        error = None
        try:
            self.state['result'] = work()
        except Exception as exc:
            error = describe_unexpected(exc)
        release()
        self.finish(error)
        if error:
            raise error
        return self.state['result']

    def pause(self, seconds):
        self.watch()
        time.sleep(seconds)

    def patience(self):
        """How many seconds the end of the job may take: whoever cancels it waits for 4, and whoever ends the process not
        much longer."""
        if self.files.cancel_asked():
            return CANCELLED_END_SECONDS
        return SIGNALLED_END_SECONDS if self.signalled else dom0_seconds(END_SECONDS)

    def on_signal(self, number, _frame):
        self.signalled = number

    def finish(self, error):
        self.state['etaSeconds'] = None
        if self.transfer_began:
            self.state['bytesPerSecond'] = per_second(self.state['bytesRead'], clock() - self.transfer_began)
        self.state['state'] = 'succeeded'
        if error:
            self.state['state'] = 'cancelled' if error.code == 'CANCELLED' else 'failed'
            self.state['error'] = error_fields(error)
        self.save()

    def save(self):
        self.written_at = clock()
        try:
            self.files.write(self.state)
        except (IOError, OSError):
            pass  # a full /var/run must not end a job

    def watch(self):
        """Called often, at least every 0.2 s of waiting: may this go on? Keeps the state fresh."""
        if self.files.cancel_asked():
            raise PluginError('CANCELLED', 'the job was cancelled')
        if self.signalled:
            raise PluginError('INTERRUPTED', 'the plugin got signal %d' % self.signalled, True)
        self.still_good()
        self.keep_fresh()

    def keep_fresh(self):
        if not 0 <= clock() - self.written_at < STATE_EVERY_SECONDS:
            if self.transfer_began:
                self.measure()
            self.save()

    def measure(self):
        """The rate is that of the last seconds; what is left is reckoned by the whole transfer's, which is steadier."""
        read, now = self.state['bytesRead'], clock()
        self.samples.append((now, read))
        began, had_read = self.samples[0]
        self.state['bytesPerSecond'] = per_second(read - had_read, now - began)
        if read:
            left = self.state['bytesTotal'] - read
            self.state['etaSeconds'] = round((now - self.transfer_began) * left / float(read), 1)

    def enter(self, phase):
        self.state['phase'] = phase
        self.watch()
        self.save()

    def begin_transfer(self, phase):
        """From now on bytes are counted."""
        self.transfer_began = clock()
        self.samples.append((self.transfer_began, 0))
        self.enter(phase)

    def seconds(self):
        """How long it has been running."""
        return round(clock() - self.began, 3)


def per_second(size, seconds):
    return int(size / seconds) if seconds > 0 else None
