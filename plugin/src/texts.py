"""Questions about values and texts that others wrote."""
import re

from .pythons import WHOLE, text_type


def to_text(value):
    """Text on either Python: the strings of 2.7 are bytes."""
    return value.decode('utf-8', 'replace') if isinstance(value, bytes) else text_type(value)


def is_text(value):
    return isinstance(value, (str, text_type))


def is_whole(value):
    return isinstance(value, WHOLE) and not isinstance(value, bool)


def without_start(name, start):
    return name[len(start):] if name.startswith(start) else name


def without_ending(name, ending):
    return name[:-len(ending)] if name.endswith(ending) else name


DIGITS = frozenset('0123456789')
HEX_DIGITS = frozenset('0123456789abcdefABCDEF')


def consists_of(text, characters):
    return bool(text) and characters.issuperset(text)


def is_uuid(value):
    return bool(re.match(r'^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z', value))
