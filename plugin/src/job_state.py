"""What is kept of a job on the host; `status` answers most of it."""
import binascii
import os

from .pythons import text_type
from .texts import is_text, is_whole
from .timing import timestamp


def new_state(state, phase='preparing'):
    run = binascii.hexlify(os.urandom(16)).decode('ascii')  # to import uuid takes Python 2.7 and 3.6 50 ms
    return {'state': state, 'phase': phase, 'bytesRead': 0, 'bytesTotal': 0, 'bytesSent': 0,
            'bytesPerSecond': None, 'etaSeconds': None,
            'run': run, 'startedAt': timestamp(), 'updatedAt': timestamp(), 'result': None, 'error': None}


MAX_STATE_CHARS = 1 << 20  # a few kB
STATE_FIELDS = {'phase': text_type, 'error': dict, 'result': dict, 'sent': dict, 'imageId': text_type, 'exportTask': text_type,
                'vdiUuid': text_type, 'cause': dict}


def is_state(value):
    """Something else may lie there: a file of another version's, or half a one."""
    if not isinstance(value, dict) or value.get('state') not in ('running', 'succeeded', 'failed', 'cancelled'):
        return False
    if not all(value.get(name) is None or isinstance(value[name], kind) for name, kind in STATE_FIELDS.items()):
        return False
    sent = value.get('sent')
    return not sent or is_text(sent.get('format')) and is_whole(sent.get('bytesSent')) and is_text(sent.get('sha512'))


PRIVATE_FIELDS = ('cause', 'exportTask', 'imageId', 'rubbish', 'sent', 'staging', 'vdiUuid')  # the last one is of the first version


def public_state(state):
    return dict((key, value) for key, value in state.items() if key not in PRIVATE_FIELDS)
