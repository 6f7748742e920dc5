"""Python imports this before the plugin: makes one call of `os` fail, as XENSNAP_FAULT says ("open EIO"), or hang
("open hang"); where XENSNAP_FAULT_ENDING is given, for paths that end so."""
import errno
import os
import time

fault = os.environ.get('XENSNAP_FAULT')
if fault:
    name, error = fault.split(' ', 1)
    ending = os.environ.get('XENSNAP_FAULT_ENDING', '')
    real = getattr(os, name)

    def failing(*args, **kwargs):
        if ending and not str(args[0]).endswith(ending):
            return real(*args, **kwargs)
        if error == 'hang':
            while True:
                time.sleep(1)
        if hasattr(errno, error):
            raise OSError(getattr(errno, error), os.strerror(getattr(errno, error)))
        raise ValueError(error)

    setattr(os, name, failing)
