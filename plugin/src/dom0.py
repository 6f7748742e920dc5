"""The host: where its files are, and which host it is."""
import io
import os

from .errors import PluginError
from .texts import is_uuid


def dom0_path(path):
    """An absolute path of dom0. xapi sets no environment; the variable leads to a simulated dom0."""
    root = os.environ.get('XENSNAP_DOM0_ROOT', '')
    return root.rstrip('/') + path if root else path


MAX_INVENTORY_CHARS = 1 << 16  # some twenty lines


def host_uuid():
    path = dom0_path('/etc/xensource-inventory')
    try:
        with io.open(path, encoding='utf-8', errors='replace') as inventory:
            lines = inventory.read(MAX_INVENTORY_CHARS).splitlines()
    except (IOError, OSError) as exc:
        raise PluginError('HOST_UNKNOWN', 'cannot read %s: %s' % (path, exc.strerror))
    for line in lines:
        name, _, value = line.partition('=')
        value = value.strip().strip("'")
        if name == 'INSTALLATION_UUID' and is_uuid(value):
            return str(value)
    raise PluginError('HOST_UNKNOWN', '%s names no INSTALLATION_UUID' % path)
