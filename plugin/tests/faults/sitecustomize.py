"""Python imports this before the plugin: makes one call of `os` fail, as XENSNAP_FAULT says ("link ENOSPC")."""
import errno
import os

fault = os.environ.get('XENSNAP_FAULT')
if fault:
    name, error = fault.split(' ', 1)

    def failing(*_args, **_kwargs):
        if hasattr(errno, error):
            raise OSError(getattr(errno, error), os.strerror(getattr(errno, error)))
        raise ValueError(error)

    setattr(os, name, failing)
