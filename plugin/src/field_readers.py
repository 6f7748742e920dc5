"""Readers of single fields. Each raises ValueError or TypeError for what does not fit."""
import re

from .pythons import urlsplit
from .texts import is_uuid, without_ending


class GlanceUrl(object):
    def __init__(self, text):
        parts = urlsplit(text)
        self.tls = parts.scheme == 'https'
        self.host = parts.hostname
        self.port = parts.port or (443 if self.tls else 80)
        self.path = without_ending(parts.path.rstrip('/'), '/v2')
        if parts.scheme not in ('http', 'https') or not self.host:
            raise ValueError()
        if parts.query or parts.fragment or '@' in parts.netloc:
            raise ValueError()


def read_uuid(value):
    if not is_uuid(value):
        raise ValueError()
    return str(value).lower()


def matching(pattern):
    def read(value):
        if not pattern.match(value):
            raise ValueError()
        return str(value)
    return read


def read_pem(value):
    if not value.lstrip().startswith('-----BEGIN ') or '-----END ' not in value:
        raise ValueError()
    return value.encode('ascii').decode('ascii')  # ssl takes text, but no other


def read_url(value):
    if not re.match(r'^[\x21-\x7e]+\Z', value):
        raise ValueError()
    return GlanceUrl(str(value))


def read_fingerprint(value):
    digits = value.replace(':', '').lower()
    if not re.match(r'^[0-9a-f]{64}\Z', digits):
        raise ValueError()
    return str(digits)


def number_between(low, high):
    def read(value):
        if isinstance(value, bool) or not low <= value <= high:
            raise ValueError()
        return value
    return read


def whole_number(low, high):
    def read(value):
        if isinstance(value, bool) or not low <= value <= high or value != int(value):  # infinity is no int
            raise ValueError()
        return int(value)
    return read


def one_of(*words):
    def read(value):
        if value not in words:
            raise ValueError()
        return str(value)
    return read


def truth(value):
    return value
