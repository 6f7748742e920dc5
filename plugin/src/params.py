"""The parameters of each function."""
import json
import re

from .chunk import CHUNK_BYTES
from .errors import PluginError
from .field_readers import matching, number_between, one_of, read_fingerprint, read_pem, read_url, read_uuid
from .field_readers import truth, whole_number
from .pythons import text_type
from .texts import is_text
from .untrusted import read_json

AUTO_LEVEL = 1


def read_level(value):
    return AUTO_LEVEL if value == 'auto' else whole_number(1, 9)(value)


MAX_VM_CONFIG_BYTES = 112 << 10  # of one argument of a program, which Linux ends at 128 KiB


def read_vm_config(value):
    data = json.dumps(value, sort_keys=True, separators=(',', ':'), allow_nan=False).encode('ascii')
    if 'version' not in value or len(data) > MAX_VM_CONFIG_BYTES:
        raise ValueError()
    return data


# field: (reader, type or types in JSON, default, what to write)
UUID_TEXT = 'a UUID'
JOB_FIELDS = {'jobId': (read_uuid, text_type, None, UUID_TEXT)}
PUT_FIELDS = {
    'jobId': JOB_FIELDS['jobId'],
    'imageId': (read_uuid, text_type, None, UUID_TEXT),
    'templateRef': (matching(re.compile(r'^OpaqueRef:[0-9A-Za-z-]+\Z')), text_type, None, 'an OpaqueRef of the snapshot template'),
    'templateUuid': (read_uuid, text_type, None, UUID_TEXT),
    'device': (matching(re.compile(r'^[0-9]{1,3}\Z')), text_type, '0', 'a device number as text, such as "0"'),
    'source': (one_of('auto', 'chain', 'export'), text_type, 'auto', '"auto", "chain" or "export"'),
    'format': (one_of('vhd', 'raw'), text_type, 'vhd', '"vhd" or "raw"'),
    'vmConfig': (read_vm_config, dict, None, 'a JSON object with a version, of %d KiB at most' % (MAX_VM_CONFIG_BYTES >> 10)),
    'glanceUrl': (read_url, text_type, None, 'http(s)://host:port[/prefix], without user, query or /v2'),
    'tokenSecret': (read_uuid, text_type, None, 'the UUID of a xapi secret'),
    'caPem': (read_pem, text_type, None, 'certificates as PEM text'),
    'fingerprint': (read_fingerprint, text_type, None, 'a SHA-256 as 64 hexadecimal digits, colons allowed'),
    'level': (read_level, (int, float, text_type), AUTO_LEVEL, '"auto" or a number from 1 to 9'),
    'threads': (whole_number(1, 16), (int, float), None, 'a number of threads from 1 to 16'),
    'nice': (whole_number(0, 19), (int, float), 19, 'a number from 0 to 19'),
    'maxBytesPerSecond': (whole_number(CHUNK_BYTES, 1 << 40), (int, float), None,
                          'a number of bytes, %d or more' % CHUNK_BYTES),
    'timeoutSeconds': (number_between(1, 3600), (int, float), 90, 'a number of seconds from 1 to 3600'),
}
GET_FIELDS = dict(
    (name, PUT_FIELDS[name]) for name in ('jobId', 'imageId', 'glanceUrl', 'tokenSecret', 'caPem', 'fingerprint', 'threads',
                                          'nice', 'maxBytesPerSecond', 'timeoutSeconds'))
GET_FIELDS.update({
    'vdiUuid': (read_uuid, text_type, None, 'the UUID of a disk'),
    'virtualBytes': (whole_number(512, 1 << 53), (int, float), None, 'the size of the disk, in bytes'),
    'format': (one_of('vhd', 'raw'), text_type, None, 'what the image is, "vhd" or "raw"'),
    'sizeBytes': (whole_number(1, 1 << 53), (int, float), None, 'the size of the image\'s data'),
    'sha512': (matching(re.compile(r'^[0-9a-f]{128}\Z')), text_type, None, 'the image\'s os_hash_value'),
    'readsAsZeros': (truth, bool, False, 'true or false'),
    'installation': (matching(re.compile(r'^[\x21-\x7e]{1,255}\Z')), text_type, None, 'a text for the tag of the VBD'),
})
GET_REQUIRED = ('jobId', 'imageId', 'glanceUrl', 'vdiUuid', 'virtualBytes', 'format', 'sizeBytes', 'installation')
PUT_REQUIRED = ('jobId', 'imageId', 'glanceUrl')


def bad_params(message):
    return PluginError('BAD_PARAMS', message)


def read_params(text, fields, required):
    if not is_text(text):
        raise bad_params('params must be JSON as text')
    try:
        given = read_json(text or '{}')
    except ValueError as exc:
        raise bad_params('params is not JSON (%s)' % exc)
    if not isinstance(given, dict):
        raise bad_params('params must be a JSON object')
    for name in sorted(given):
        if name not in fields:
            raise bad_params('%s is not known; known are: %s' % (name, ', '.join(sorted(fields)) or 'none'))
    params = {}
    for name, (reader, kinds, default, wanted) in fields.items():
        value = given.get(name)
        if value is None:
            if name in required:
                raise bad_params('%s is missing; give %s' % (name, wanted))
            params[name] = default
            continue
        try:
            if not isinstance(value, kinds):
                raise ValueError()
            params[name] = reader(value)
        except (ValueError, TypeError):
            raise bad_params('%s must be %s' % (name, wanted))
    return params


def read_put_params(text):
    params = read_params(text, PUT_FIELDS, PUT_REQUIRED)
    if bool(params['templateRef']) == bool(params['templateUuid']):
        raise bad_params('give one of templateRef and templateUuid')
    if params['format'] == 'raw' and params['source'] == 'chain':
        raise bad_params('source must be "auto" or "export" for the format raw')
    require_tls_for_trust(params)
    return params


def read_get_params(text):
    params = read_params(text, GET_FIELDS, GET_REQUIRED)
    require_tls_for_trust(params)
    if params['format'] == 'raw' and params['sizeBytes'] > params['virtualBytes']:
        raise PluginError('VDI_TOO_SMALL', 'the image has %(sizeBytes)d bytes, and the disk that it should go into '
                          '%(virtualBytes)d' % params)
    return params


def require_tls_for_trust(params):
    if not params['glanceUrl'].tls and (params['fingerprint'] or params['caPem']):
        raise bad_params('fingerprint and caPem need a glanceUrl that begins with https://')


def read_no_params(text):
    return read_params(text, {}, ())


def read_job_params(text):
    return read_params(text, JOB_FIELDS, ('jobId',))
