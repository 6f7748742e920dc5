"""Has a plugin's writes to a disk's device fail when the disk's SR is full, as they do where a tapdisk finds no space: with
EIO. The files that stand for devices know no bounds; the pool says in a file how large each may grow (device-room.ts)."""
import errno
import os


def bound_writes(root):
    root = os.path.realpath(root)
    for name in ('write', 'pwrite'):
        if hasattr(os, name):
            setattr(os, name, bounded(getattr(os, name), root))


def bounded(write, root):
    def write_if_room(fd, data, *offset):
        path = os.readlink('/proc/self/fd/%d' % fd)
        if path.startswith(root + '/dev/'):
            room = room_of(root + '/sys/room/' + os.path.basename(path))
            if room is not None and os.fstat(fd).st_blocks * 512 + len(data) > room:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(fd, data, *offset)
    return write_if_room


def room_of(note):
    try:
        with open(note) as text:
            return int(text.read() or 0)
    except IOError:
        return None
