"""What xapi knows of the disk that is to be imaged."""
from .errors import PluginError
from .http_answer import MAX_LENGTH_DIGITS
from .texts import DIGITS, consists_of, is_text, is_uuid
from .xapi import XapiFailure, unreadable


def find_disk(xapi, params):
    """What counts of the VDI's record of the template's disk at `device`, and (type, UUID) of its SR. An SR's whole record
    would name thousands of disks."""
    template_ref = params['templateRef'] or xapi.text('VM.get_by_uuid', params['templateUuid'])
    for vbd_ref in xapi.texts('VM.get_VBDs', template_ref):
        vbd = xapi.record('VBD.get_record', vbd_ref)
        if vbd.get('type') != 'Disk' or vbd.get('userdevice') != params['device']:
            continue
        vdi_ref = vbd.get('VDI')
        if vbd.get('empty') is True or not is_text(vdi_ref) or vdi_ref in ('', 'OpaqueRef:NULL'):
            continue
        vdi = read_vdi(xapi.record('VDI.get_record', vdi_ref))
        sr_uuid = xapi.text('SR.get_uuid', vdi['SR'])
        if not is_uuid(sr_uuid):
            raise unreadable('SR.get_uuid', 'no UUID')
        return vdi, (xapi.text('SR.get_type', vdi['SR']), str(sr_uuid))
    raise PluginError('NO_DISK', 'the snapshot template has no disk as device %s' % params['device'])


def read_vdi(record):
    vdi_uuid, sr_ref, size, config = (record.get(name) for name in ('uuid', 'SR', 'virtual_size', 'sm_config'))
    if not (is_text(vdi_uuid) and is_uuid(vdi_uuid) and is_text(sr_ref) and is_text(size)
            and consists_of(size, DIGITS) and len(size) <= MAX_LENGTH_DIGITS and isinstance(config or {}, dict)):
        raise unreadable('VDI.get_record', 'its fields')
    return {'uuid': str(vdi_uuid), 'SR': sr_ref, 'virtual_size': int(size), 'sm_config': config or {}}


def parent_in_database(xapi, vdi_uuid):
    """What xapi believes to be the VDI's parent (sm_config), or None."""
    try:
        vdi_ref = xapi.text('VDI.get_by_uuid', vdi_uuid)
        return xapi.record('VDI.get_sm_config', vdi_ref).get('vhd-parent')
    except XapiFailure as exc:
        if exc.xapi_code in ('UUID_INVALID', 'HANDLE_INVALID'):
            return None
        raise


def vdi_format(vdi):
    """The key differs between generations of the storage manager: image-format, vdi_type, type=raw."""
    config = vdi['sm_config']
    named = config.get('image-format') or config.get('vdi_type') or config.get('type') or 'vhd'
    return 'raw' if named in ('aio', 'file') else named
