"""Glance's answers, as errors and as an image's record."""
from .errors import PluginError
from .texts import is_text, is_whole
from .untrusted import read_json

# Those that Nova learned not to try again; redirects are not either, all others are.
PERMANENT_STATUSES = frozenset([400, 401, 402, 403, 404, 405, 406, 407] + list(range(409, 418))
                               + [422, 423, 424, 426, 501, 505, 510])
STATUS_CODES = {401: 'GLANCE_UNAUTHORIZED', 403: 'GLANCE_FORBIDDEN', 404: 'IMAGE_GONE', 409: 'IMAGE_NOT_QUEUED',
                410: 'IMAGE_GONE', 413: 'IMAGE_TOO_LARGE'}


def refused(answer, doing):
    """Glance's answer as a PluginError."""
    retryable = answer.status >= 400 and answer.status not in PERMANENT_STATUSES
    code = STATUS_CODES.get(answer.status) or ('GLANCE_UNAVAILABLE' if retryable else 'GLANCE_REFUSED')
    return PluginError(code, 'Glance answered %d to %s: %s' % (answer.status, doing, answer.text() or '-'), retryable)


def read_record(text):
    """What counts of an image: status, size, os_hash_algo, os_hash_value; all but the first may be None. Raises
    ValueError."""
    image = read_json(text)
    if not isinstance(image, dict) or not is_text(image.get('status')):
        raise ValueError()
    record = dict((name, image.get(name)) for name in ('status', 'size', 'os_hash_algo', 'os_hash_value'))
    if record['size'] is not None and not is_whole(record['size']):
        raise ValueError()
    if not all(record[name] is None or is_text(record[name]) for name in ('os_hash_algo', 'os_hash_value')):
        raise ValueError()
    return record
