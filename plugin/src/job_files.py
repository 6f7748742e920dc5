"""A job's files on the host: its state, its lock, and whether it is to be cancelled."""
import contextlib
import errno
import fcntl
import io
import json
import os
import time

from .dom0 import dom0_path
from .job_state import MAX_STATE_CHARS, is_state
from .timing import clock, timestamp
from .untrusted import MAX_DIGITS, read_json


def state_folder():
    return dom0_path('/var/run/xensnap')


class JobFiles(object):
    """<job>.json is the state, <job>.lock is held by flock while put_vdis lives and holds its process
    id, <job>.cancel says that a cancel was asked for."""

    def __init__(self, job_id):
        base = os.path.join(state_folder(), job_id)
        self.job_id = job_id
        self.state_path, self.lock_path, self.cancel_path = base + '.json', base + '.lock', base + '.cancel'
        self.lock_fd = None
        if not os.path.isdir(state_folder()):
            try:
                os.makedirs(state_folder(), 0o700)
            except OSError as exc:
                if exc.errno != errno.EEXIST:
                    raise

    def lock(self, wait_seconds=0.0):
        """True when this process holds the job now."""
        end = clock() + wait_seconds
        while True:
            fd = os.open(self.lock_path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(fd).st_ino == os.stat(self.lock_path).st_ino:  # else a sweep unlinked it meanwhile
                    self.lock_fd = fd
                    return True
            except (IOError, OSError) as exc:
                if exc.errno not in (errno.EAGAIN, errno.EACCES, errno.ENOENT, errno.EINTR):
                    os.close(fd)
                    raise
            os.close(fd)
            if clock() >= end:
                return False
            time.sleep(0.05)

    def unlock(self):
        os.close(self.lock_fd)
        self.lock_fd = None

    @contextlib.contextmanager
    def locked_if_free(self):
        free = self.lock()
        try:
            yield free
        finally:
            if free:
                self.unlock()

    def write_pid(self):
        os.ftruncate(self.lock_fd, 0)
        os.write(self.lock_fd, str(os.getpid()).encode('ascii'))

    def pid(self):
        """The process that runs this job, if it is one of ours for sure."""
        try:
            with io.open(self.lock_path, encoding='ascii') as lock:
                pid = int(lock.read(MAX_DIGITS) or 0)
            with io.open('/proc/%d/cmdline' % pid, 'rb') as command:
                return pid if self.job_id.encode('ascii') in command.read() else None
        except (IOError, OSError, ValueError):
            return None

    def ask_cancel(self):
        os.close(os.open(self.cancel_path, os.O_WRONLY | os.O_CREAT, 0o600))

    def cancel_asked(self):
        return os.path.exists(self.cancel_path)

    def read(self):
        """The state; None where there is none, or something else."""
        try:
            with io.open(self.state_path, encoding='utf-8') as handle:
                state = read_json(handle.read(MAX_STATE_CHARS))
        except (IOError, OSError, ValueError):
            return None
        return state if is_state(state) else None

    def write(self, state):
        """Whole or not at all: readers see the old file or the new one."""
        state['updatedAt'] = timestamp()
        new_path = '%s.%d' % (self.state_path, os.getpid())
        fd = os.open(new_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            data = json.dumps(state, sort_keys=True).encode('ascii')
            while data:  # a disk that is almost full takes a part
                data = data[os.write(fd, data):]
        finally:
            os.close(fd)
        os.rename(new_path, self.state_path)

    def remove(self):
        for name in os.listdir(state_folder()):
            if name.startswith(self.job_id + '.'):
                os.unlink(os.path.join(state_folder(), name))
