"""Secrets of xapi: read once, destroyed at once."""
from .errors import PluginError
from .secrecy import keep_secret
from .timing import never_stop
from .xapi import Xapi


def take_secret(xapi, secret_uuid):
    """Read a xapi secret and destroy it at once, whatever else happens."""
    secret_ref = xapi.text('secret.get_by_uuid', secret_uuid)
    try:
        return keep_secret(xapi.text('secret.get_value', secret_ref))
    finally:
        destroy_secret(xapi, secret_ref)


def destroy_secret(xapi, secret_ref):
    watch, xapi.watch = xapi.watch, never_stop
    try:
        xapi.call('secret.destroy', secret_ref)
    except PluginError:
        pass  # the janitor sweeps secrets; the upload need not fail for this one
    finally:
        xapi.watch = watch


def discard_secret(secret_uuid):
    """For a job that will not run: its token should not lie about."""
    if not secret_uuid:
        return
    try:
        with Xapi(never_stop) as xapi:
            destroy_secret(xapi, xapi.text('secret.get_by_uuid', secret_uuid))
    except PluginError:
        pass
