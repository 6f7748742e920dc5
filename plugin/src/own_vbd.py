"""A disk in this dom0's hands: by a VBD of ours, which bears the job's tag.

What xapi itself does to read or write a disk (with_block_attached_device). Nothing is ever unplugged by force: data that is
still on its way would go astray."""
import os
import time

from .control_domain import find_control_domain
from .dom0 import dom0_path, dom0_seconds
from .errors import PluginError
from .timing import WATCH_EVERY_SECONDS, clock
from .xapi import Xapi, XapiFailure, unreadable

PLUG_SECONDS = 300  # for one answer of xapi's
LOOK_SECONDS = 5
ASK_AGAIN_LOOKS = 6
DEVICE_SECONDS = 15  # for udev to make the device's node
GONE = ('HANDLE_INVALID', 'UUID_INVALID')
# What xapi says of a disk that somebody has open: of one in dom0 it is tapdisk that does not close for two minutes, which sm
# has no code of its own for (blktap2.py: `tap-ctl close -t 120`; xapi_vbd.ml).
IN_USE = ('DEVICE_DETACH_REJECTED', 'OTHER_OPERATION_IN_PROGRESS', 'VDI_IN_USE', 'SR_DEVICE_IN_USE')
OF_STORAGE = 'SR_BACKEND_FAILURE'


def tag_of(job_id):
    return 'xensnap:' + job_id


def attach(xapi, job_id, installation, vdi_uuid, watch):
    """The path of the device, once it is there. Whatever becomes of this, `detach` finds the VBD."""
    vdi = xapi.text('VDI.get_by_uuid', vdi_uuid)
    vbd = xapi.text('VBD.create', {
        'VM': find_control_domain(xapi), 'VDI': vdi, 'userdevice': 'autodetect', 'mode': 'RW', 'type': 'Disk', 'bootable': False,
        'unpluggable': True, 'empty': False, 'other_config': {tag_of(job_id): installation}, 'qos_algorithm_type': '',
        'qos_algorithm_params': {}})
    xapi.TIMEOUT_SECONDS = PLUG_SECONDS
    xapi.call('VBD.plug', vbd)
    device = xapi.text('VBD.get_device', vbd)
    path = dom0_path('/dev/' + device)
    if not device or '..' in device.split('/'):
        raise unreadable('VBD.get_device', 'no device')
    wait_for_device(path, watch)
    return path


def wait_for_device(path, watch):
    end = clock() + dom0_seconds(DEVICE_SECONDS)
    while not os.path.exists(path):
        if clock() > end:
            raise PluginError('SR_IO_ERROR', 'the disk was plugged, but there is no %s' % path, True)
        watch()
        time.sleep(WATCH_EVERY_SECONDS)


def find_own(xapi, job_id):
    """VBDs of this host's control domain that bear the job's tag."""
    for vbd in xapi.texts('VM.get_VBDs', find_control_domain(xapi)):
        try:
            if tag_of(job_id) in xapi.record('VBD.get_other_config', vbd):
                yield vbd
        except XapiFailure as exc:
            if exc.xapi_code not in GONE:
                raise


def detach(job_id, seconds, watch, answer_seconds=PLUG_SECONDS):
    """Unplug and destroy what the job's tag is on, and look whether it is gone. `seconds()` is how long an unplug may take
    in all, `answer_seconds` how long xapi may take for one answer; `watch` is called while waiting and must not raise.
    Raises VBD_STUCK."""
    try:
        xapi = Xapi(watch)
        xapi.TIMEOUT_SECONDS = answer_seconds
        with xapi:
            for vbd in find_own(xapi, job_id):
                destroy(xapi, vbd, seconds, watch)
            left = list(find_own(xapi, job_id))
    except PluginError as exc:
        raise stuck(exc.message)
    if left:
        raise stuck('%d of them are still there' % len(left))


def stuck(why):
    return PluginError('VBD_STUCK', 'the disk could not be taken from this host\'s control domain: %s' % why, True)


def destroy(xapi, vbd, seconds, watch):
    try:
        unplug(xapi, vbd, seconds, watch)
        xapi.call('VBD.destroy', vbd)
    except XapiFailure as exc:
        if exc.xapi_code not in GONE:
            raise


def unplug(xapi, vbd, seconds, watch):
    """It is asked for in any case: the plug of one that was killed may be under way, whose end a destroyed VBD would not
    survive, with the disk attached for ever. Rejected while somebody in dom0 has it open: udev, say, which looks at new
    partitions."""
    began, looks = clock(), 0
    while not looks or is_in_use(xapi, vbd):
        if looks % ASK_AGAIN_LOOKS == 0:
            try:
                xapi.call('VBD.unplug', vbd)
                return
            except XapiFailure as exc:
                if exc.xapi_code == 'DEVICE_ALREADY_DETACHED':
                    return
                if exc.xapi_code not in IN_USE and not exc.xapi_code.startswith(OF_STORAGE):
                    raise
                rejected = exc
        looks += 1
        next_look = clock() + dom0_seconds(LOOK_SECONDS)
        while clock() < next_look:
            if clock() - began >= seconds():
                raise rejected
            watch()
            time.sleep(min(WATCH_EVERY_SECONDS, dom0_seconds(LOOK_SECONDS)))


def is_in_use(xapi, vbd):
    """Attached, or about to be, or no longer to be."""
    record = xapi.record('VBD.get_record', vbd)
    attached, under_way = record.get('currently_attached'), record.get('current_operations')
    if not isinstance(attached, bool) or not isinstance(under_way, dict):
        raise unreadable('VBD.get_record', type(attached).__name__)
    return attached or bool(under_way)
