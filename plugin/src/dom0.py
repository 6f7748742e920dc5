"""The host: where its files are, and which host it is."""
import io
import os

from .errors import PluginError
from .texts import is_uuid


def dom0_path(path):
    """An absolute path of dom0. xapi sets no environment; the variable leads to a simulated dom0."""
    root = os.environ.get('XENSNAP_DOM0_ROOT', '')
    return root.rstrip('/') + path if root else path


def dom0_seconds(seconds):
    """So long is waited for what takes a real dom0 that long; a simulated one may be faster."""
    return seconds / float(os.environ.get('XENSNAP_DOM0_SPEED', 1))


MAX_INVENTORY_CHARS = 1 << 16  # some twenty lines


def inventory_uuid(wanted):
    """The UUID that the host's inventory has by that name; else None."""
    path = dom0_path('/etc/xensource-inventory')
    try:
        with io.open(path, encoding='utf-8', errors='replace') as inventory:
            lines = inventory.read(MAX_INVENTORY_CHARS).splitlines()
    except (IOError, OSError) as exc:
        raise PluginError('HOST_UNKNOWN', 'cannot read %s: %s' % (path, exc.strerror))
    for line in lines:
        name, _, value = line.partition('=')
        value = value.strip().strip("'")
        if name == wanted and is_uuid(value):
            return str(value)
    return None


def host_uuid():
    uuid = inventory_uuid('INSTALLATION_UUID')
    if not uuid:
        raise PluginError('HOST_UNKNOWN', '%s names no INSTALLATION_UUID' % dom0_path('/etc/xensource-inventory'))
    return uuid
