"""An image of Glance: connections to where it is, and its record."""
import contextlib
import hashlib
import re
import ssl

from .connect import connect_tcp
from .errors import PluginError
from .glance_answers import read_record, refused
from .http_exchange import HttpExchange
from .release import VERSION
from .texts import to_text
from .wire import CertificateTrouble, ConnectionTrouble

MAX_RECORD_BYTES = 1 << 20  # of an image: Glance allows 128 properties, which are short


class Glance(object):
    def __init__(self, params, token, watch):
        self.url = params['glanceUrl']
        self.image_path = '%s/v2/images/%s' % (self.url.path, params['imageId'])
        self.ca_pem = params['caPem']
        self.fingerprint = params['fingerprint']
        self.timeout_seconds = params['timeoutSeconds']
        self.watch = watch
        host = '[%s]' % self.url.host if ':' in self.url.host else self.url.host
        self.headers = [('Host', '%s:%d' % (host, self.url.port)), ('User-Agent', 'xensnap-plugin/' + VERSION),
                        ('Accept', 'application/json, text/plain'), ('Connection', 'close')]
        token = token.strip() if token else None
        if token:
            if not re.match(r'^[\x21-\x7e]+\Z', token):
                raise PluginError('GLANCE_UNAUTHORIZED', 'the secret does not hold a token that fits in a header')
            self.headers.append(('X-Auth-Token', token))

    @contextlib.contextmanager
    def exchange(self):
        """A connection for one request. Left by an exception, it is reset, so that Glance drops what it has."""
        with self.troubles_named():
            wire = connect_tcp(self.url.host, self.url.port, self.watch, self.timeout_seconds)
            try:
                if self.url.tls:
                    self.secure(wire)
                yield HttpExchange(wire)
            except BaseException:
                wire.close(hard=True)
                raise
            wire.close()

    @contextlib.contextmanager
    def troubles_named(self):
        where = '%s:%d' % (self.url.host, self.url.port)
        try:
            yield
        except ConnectionTrouble as exc:
            raise PluginError('GLANCE_UNAVAILABLE', 'Glance at %s: %s' % (where, exc), True)
        except CertificateTrouble as exc:
            raise PluginError('GLANCE_CERTIFICATE', 'Glance at %s: %s' % (where, exc))

    def secure(self, wire):
        if not hasattr(ssl, 'create_default_context'):
            raise CertificateTrouble('the Python of this host is too old to verify a certificate')
        try:
            # As text: Python 2.7 takes bytes for DER.
            context = ssl.create_default_context(cadata=to_text(self.ca_pem) if self.ca_pem else None)
        except (ssl.SSLError, ValueError, TypeError) as exc:
            raise CertificateTrouble('caPem cannot be read (%s)' % exc)
        if self.fingerprint and not self.ca_pem:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        wire.start_tls(context, self.url.host)
        if self.fingerprint:
            shown = hashlib.sha256(wire.sock.getpeercert(True)).hexdigest()
            if shown != self.fingerprint:
                raise CertificateTrouble('its certificate is %s, not the pinned one' % shown)

    def record(self):
        with self.exchange() as exchange:
            answer = exchange.request('GET', self.image_path, self.headers, MAX_RECORD_BYTES)
            if answer.status != 200:
                raise refused(answer, 'GET of the image')
        try:
            return read_record(answer.body.decode('utf-8'))
        except ValueError:
            raise PluginError('GLANCE_UNAVAILABLE', 'something answers for Glance, with no image of the v2 API', True)
