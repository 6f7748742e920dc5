"""One file of a chain, kept open."""
import errno
import io
import os
import stat
import threading

from .errors import PluginError
from .texts import without_ending
from .vhd import Vhd
from .vhd_structures import Footer, is_footer


def identity_of(status):
    """Not ctime, nor the number of links: sm's snapshots change them."""
    return (status.st_dev, status.st_ino, status.st_size, getattr(status, 'st_mtime_ns', status.st_mtime))


def sr_error(exc, what):
    """An error of the SR's file system as a PluginError."""
    message = '%s: %s' % (what, exc.strerror or exc)
    if exc.errno in (errno.ENOENT, errno.ESTALE):
        return PluginError('CHAIN_CHANGED', message, True)
    return PluginError('SR_IO_ERROR', message, True)


SEEK_DATA = 3  # of Linux; in Python's os from 3.3 on


class ChainFile(object):
    """One file of a chain, open from the first look until it is closed."""

    def __init__(self, path, holes=True):
        self.path = path
        self.uuid = without_ending(os.path.basename(path), '.vhd')
        self.holes = holes
        self.vhd = None
        self.lock = threading.Lock()
        self.left = False
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):  # to open a FIFO waits until somebody writes to it
                raise PluginError('VHD_INVALID', '%s is no regular file' % path)
            self.handle = io.open(path, 'rb', buffering=0)
            self.seen = identity_of(os.fstat(self.handle.fileno()))
        except (IOError, OSError) as exc:
            raise sr_error(exc, path)

    @property
    def size(self):
        return self.seen[2]

    @property
    def modified(self):
        return self.vhd.footer.modified()

    def is_another(self, wanted):
        """Of neither footer is the UUID that one. Either may not be there just now."""
        blocks = []
        try:
            for offset in (0, max(self.size - 512, 0)):
                self.handle.seek(offset)
                blocks.append(self.handle.read(512))
        except (IOError, OSError) as exc:
            raise sr_error(exc, self.path)
        uuids = [Footer(block).uuid for block in blocks if is_footer(block)]
        return bool(uuids) and wanted not in uuids

    def look(self):
        """Read what describes the disk."""
        try:
            self.vhd = Vhd(self.handle, self.path, self.size)
        except (IOError, OSError) as exc:
            raise sr_error(exc, self.path)

    def read_into(self, view, offset):
        """Fill the buffer from `offset` on; or return True, and leave it, where the file system knows of nothing
        but zeros there. In any thread; one at a time, so that the disk sees one reader that goes forward, and
        since Python 2.7 has no pread."""
        got = 0
        try:
            with self.lock:
                if self.left:
                    raise self.changed('was left')
                if self.is_hole(offset, len(view)):
                    return True
                self.handle.seek(offset)
                while got < len(view):
                    size = self.handle.readinto(view[got:])
                    if not size:
                        raise self.changed('shrank')
                    got += size
        except (IOError, OSError) as exc:
            raise sr_error(exc, self.path)
        finally:
            if self.left:
                self.close()
        return False

    def is_hole(self, offset, size):
        """A file system that keeps no holes calls everything data."""
        if not self.holes:
            return False
        fd = self.handle.fileno()
        try:
            return os.lseek(fd, offset, SEEK_DATA) >= offset + size
        except OSError as exc:  # ENXIO: no data from there on; else it cannot tell
            return exc.errno == errno.ENXIO and os.fstat(fd).st_size >= offset + size

    def changed(self, how):
        return PluginError('CHAIN_CHANGED', '%s %s while it was read' % (self.path, how), True)

    def close(self):
        """At once; or, while a thread reads, by that thread as soon as its read returns. A file that is deleted
        while it is open stays in an NFS SR, as a file .nfs<number>, until it is closed."""
        self.left = True
        if self.lock.acquire(False):
            try:
                self.handle.close()
            finally:
                self.lock.release()

    def verify(self):
        """What the name leads to now, and what is open, must be what was seen first. The name is opened anew: NFS
        keeps a file's attributes for up to a minute, but asks its server when a file is opened."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)  # it may lead to a FIFO now
            try:
                named = identity_of(os.fstat(fd))
            finally:
                os.close(fd)
            # Without the lock, which a thread may hold that hangs in a read.
            opened = identity_of(os.fstat(self.handle.fileno()))
        except (IOError, OSError) as exc:
            raise sr_error(exc, '%s changed while it was read' % self.path)
        except ValueError:
            raise self.changed('was left')  # by another thread, which knows why
        if named != self.seen or opened != self.seen:
            raise self.changed('changed')
