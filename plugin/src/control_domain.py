"""This host and its control domain, as xapi knows them."""
from .dom0 import host_uuid, inventory_uuid
from .errors import PluginError


def find_host(xapi):
    return xapi.text('host.get_by_uuid', host_uuid().lower())


def find_control_domain(xapi):
    """By the inventory, else by xapi: older versions of it do not know the second way."""
    named = inventory_uuid('CONTROL_DOMAIN_UUID')
    if named:
        return xapi.text('VM.get_by_uuid', named.lower())
    return xapi.text('host.get_control_domain', find_host(xapi))


def require_enabled(xapi):
    if xapi.call('host.get_enabled', find_host(xapi)) is False:
        raise PluginError('HOST_DISABLED', 'this host is being disabled: take another one', True)
