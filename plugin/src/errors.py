"""The failure that a caller hears of: a code, a message, and whether to try again."""
from .secrecy import hide_secrets
from .texts import to_text

MAX_MESSAGE_CHARS = 2000  # of an error: it goes into a file, xapi's answer and logs, and quotes what others sent


class PluginError(Exception):
    """A failure with a stable code; the caller decides by `retryable`, the operator reads `message`."""

    def __init__(self, code, message, retryable=False):
        Exception.__init__(self, code)
        self.code = code
        self.message = hide_secrets(message)[:MAX_MESSAGE_CHARS]  # in this order: half a token is a secret, too
        self.retryable = retryable

    def description(self):
        return [self.code, self.message, 'retryable' if self.retryable else 'permanent']


def describe_unexpected(exc):
    """Turn any exception into a PluginError; what nobody foresaw is INTERNAL."""
    if isinstance(exc, PluginError):
        return exc
    try:
        words = to_text(str(exc))
    except UnicodeError:  # Python 2.7, an exception about text that is not ASCII
        words = to_text(repr(exc))
    return PluginError('INTERNAL', '%s: %s' % (type(exc).__name__, words))


def error_fields(error):
    return {'code': error.code, 'message': error.message, 'retryable': error.retryable}
