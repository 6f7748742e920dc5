"""A disk as dom0 has it, /dev/..., written past dom0's page cache."""
import errno
import fcntl
import io
import os
import stat
import struct

from .errors import PluginError
from .libraries import address_of
from .pythons import ctypes

PAGE_BYTES = 4096
BLKSSZGET = 0x1268  # of linux/fs.h: the least that a device writes
O_DIRECT = getattr(os, 'O_DIRECT', 0)
SYNC_EVERY_BYTES = 32 << 20  # where the page cache cannot be passed by
FADV_DONTNEED = 4


def aligned_buffer(size):
    """Begins with a page, as O_DIRECT wants it."""
    data = bytearray(size + PAGE_BYTES)
    begin = -address_of(data) % PAGE_BYTES if ctypes else 0
    return memoryview(data)[begin:begin + size]


def disk_error(exc, path):
    message = '%s: %s' % (path, exc.strerror or exc)
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return PluginError('SR_FULL', message)
    return PluginError('SR_IO_ERROR', message + ' (a thin SR that is full says so, too)', True)


class BlockDevice(object):
    """Open for one thread, whose buffers are of `aligned_buffer`. Raises IOError and OSError."""

    def __init__(self, path):
        self.path = path
        self.direct = bool(O_DIRECT and ctypes)
        self.unsynced = 0
        self.file = self.open()
        self.size = self.file.seek(0, os.SEEK_END)

    def open(self):
        fd = self.open_fd()
        if self.direct and stat.S_ISBLK(os.fstat(fd).st_mode):
            sector, = struct.unpack('i', fcntl.ioctl(fd, BLKSSZGET, b'\0' * 4))
            if sector > 512:
                os.close(fd)
                self.direct = False
                fd = self.open_fd()
        return io.FileIO(fd, 'r+')

    def open_fd(self):
        if self.direct:
            try:
                return os.open(self.path, os.O_RDWR | O_DIRECT)
            except OSError as exc:
                if exc.errno != errno.EINVAL:
                    raise
                self.direct = False
        return os.open(self.path, os.O_RDWR)

    def close(self):
        self.file.close()

    def write(self, view, offset):
        self.undirected_if_need_be(self.write_all, view, offset)
        self.unsynced += len(view)
        if not self.direct and self.unsynced >= SYNC_EVERY_BYTES:
            os.fdatasync(self.file.fileno())
            self.forget_pages()

    def write_all(self, view, offset):
        self.file.seek(offset)
        while len(view):
            view = view[os.write(self.file.fileno(), view):]

    def read_into(self, view, offset):
        self.undirected_if_need_be(self.read_all, view, offset)

    def read_all(self, view, offset):
        self.file.seek(offset)
        while len(view):
            size = self.file.readinto(view)
            if not size:
                raise OSError(errno.EIO, 'it ends before its end')
            view = view[size:]

    def undirected_if_need_be(self, move, view, offset):
        """Some file systems take the flag, but not every size."""
        try:
            move(view, offset)
        except (IOError, OSError) as exc:
            if exc.errno != errno.EINVAL or not self.direct:
                raise
            self.direct = False
            self.file.close()
            self.file = self.open()
            move(view, offset)

    def forget_pages(self):
        self.unsynced = 0
        if ctypes:
            nothing = ctypes.c_longlong(0)
            ctypes.CDLL(None).posix_fadvise64(self.file.fileno(), nothing, nothing, FADV_DONTNEED)

    def sync(self):
        """All that was written is on the disk's own medium."""
        os.fsync(self.file.fileno())
        self.forget_pages()
