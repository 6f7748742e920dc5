"""Python imports this before the plugin: makes one call of `os` fail, as XENSNAP_FAULT says ("open EIO"), or hang
("open hang"); where XENSNAP_FAULT_ENDING is given, for paths, or descriptors of paths, that end so; where XENSNAP_FAULT_SPARES
is, not for the first so many of them, and where XENSNAP_FAULT_TIMES is, only for so many after these."""
import errno
import os
import time

fault = os.environ.get('XENSNAP_FAULT')
if fault:
    name, error = fault.split(' ', 1)
    ending = os.environ.get('XENSNAP_FAULT_ENDING', '')
    real = getattr(os, name)

    spared = [int(os.environ.get('XENSNAP_FAULT_SPARES', 0))]
    times = [int(os.environ.get('XENSNAP_FAULT_TIMES', 1 << 60))]
    readlink = os.readlink

    def failing(*args, **kwargs):
        path = readlink('/proc/self/fd/%d' % args[0]) if ending and isinstance(args[0], int) else str(args[0])
        if ending and not path.endswith(ending):
            return real(*args, **kwargs)
        if spared[0]:
            spared[0] -= 1
            return real(*args, **kwargs)
        if not times[0]:
            return real(*args, **kwargs)
        times[0] -= 1
        if error == 'hang':
            while True:
                time.sleep(1)
        if hasattr(errno, error):
            raise OSError(getattr(errno, error), os.strerror(getattr(errno, error)))
        raise ValueError(error)

    setattr(os, name, failing)
