"""A session with this host's xapi."""
import contextlib

from .connect import connect_unix
from .dom0 import dom0_path
from .errors import PluginError
from .http_exchange import HttpExchange
from .pythons import xmlrpclib
from .release import VERSION
from .secrecy import keep_secret
from .texts import is_text, to_text
from .timing import never_stop
from .untrusted import read_xml
from .wire import ConnectionTrouble

XAPI_RETRYABLE = frozenset((
    'HOST_STILL_BOOTING', 'CANNOT_CONTACT_HOST', 'HOST_OFFLINE', 'OTHER_OPERATION_IN_PROGRESS',
    'INTERNAL_ERROR', 'SESSION_INVALID', 'HOST_IS_SLAVE'))

MAX_XAPI_BYTES = 4 << 20  # of an answer: the record of a disk with 50,000 snapshots


class XapiFailure(PluginError):
    def __init__(self, method, description):
        self.xapi_code = description[0] if description else 'UNKNOWN'
        message = '%s: %s' % (method, ' '.join(description))
        PluginError.__init__(self, 'XAPI_ERROR', message, self.xapi_code in XAPI_RETRYABLE)


class Xapi(object):
    """A session of the plugin's own over dom0's unix socket, which xapi takes as root's: the caller's
    session may be logged out while an upload of hours is still running."""

    TIMEOUT_SECONDS = 120

    def __init__(self, watch):
        self.watch = watch
        self.session = None

    def __enter__(self):
        # Not to be stopped between request and answer: a session that nobody knows cannot be logged out.
        watch, self.watch = self.watch, never_stop
        login = self.send('session.login_with_password', ('root', '', '1.0', 'xensnap-plugin'))
        if not is_text(login):
            raise unreadable('session.login_with_password', type(login).__name__)
        self.session, self.watch = keep_secret(login), watch
        return self

    def __exit__(self, *_exc):
        # The caller may be stopping for a cancel that waits 5 s.
        self.watch = never_stop
        self.TIMEOUT_SECONDS = 3
        try:
            self.call('session.logout')
        except PluginError:
            pass

    def call(self, method, *args):
        """What it returns, for whoever does not look at it."""
        return self.send(method, (self.session,) + args)

    def text(self, method, *args):
        return self.of_kind(is_text, method, args)

    def texts(self, method, *args):
        return self.of_kind(is_texts, method, args)

    def record(self, method, *args):
        return self.of_kind(is_record, method, args)

    def of_kind(self, fits, method, args):
        value = self.call(method, *args)
        if not fits(value):
            raise unreadable(method, type(value).__name__)
        return value

    def send(self, method, args):
        body = xmlrpclib.dumps(args, method)
        body = body if isinstance(body, bytes) else body.encode('utf-8')
        headers = [('Host', 'localhost'), ('User-Agent', 'xensnap-plugin/' + VERSION),
                   ('Content-Type', 'text/xml'), ('Connection', 'close')]
        try:
            path = dom0_path('/var/lib/xcp/xapi')
            exchange = HttpExchange(connect_unix(path, self.watch, self.TIMEOUT_SECONDS))
            with contextlib.closing(exchange):
                answer = exchange.request('POST', '/', headers, MAX_XAPI_BYTES, body)
        except ConnectionTrouble as exc:
            raise PluginError('XAPI_ERROR', '%s: xapi on this host does not answer: %s' % (method, exc), True)
        if answer.status != 200:
            raise PluginError('XAPI_ERROR', '%s: xapi answered HTTP %d' % (method, answer.status), True)
        try:
            (response,), _ = read_xml(answer.body)
            succeeded = response['Status'] == 'Success'
            description = [] if succeeded else response['ErrorDescription']
        except xmlrpclib.Fault as exc:
            raise XapiFailure(method, ['Fault', to_text(exc.faultString)])
        except Exception as exc:  # expat's and xmlrpclib's errors have no common class
            raise unreadable(method, type(exc).__name__)
        if not is_texts(description):
            raise unreadable(method, type(description).__name__)
        if not succeeded:
            raise XapiFailure(method, description)
        return response.get('Value', '')


def unreadable(method, what):
    return PluginError('XAPI_ERROR', '%s: unreadable answer (%s)' % (method, what), True)


def is_texts(value):
    return isinstance(value, list) and all(is_text(one) for one in value)


def is_record(value):
    return isinstance(value, dict)


def destroy_task(task):
    """True when xapi will not keep it. A pending one goes once it has ended."""
    try:
        xapi = Xapi(never_stop)
        xapi.TIMEOUT_SECONDS = 2  # the caller may be stopping for a cancel that does not wait long
        with xapi:
            xapi.call('task.destroy', task)
    except PluginError as exc:
        return getattr(exc, 'xapi_code', None) == 'HANDLE_INVALID'
    return True
