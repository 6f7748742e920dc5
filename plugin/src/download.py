"""The data of an image, from its first byte to its last, over as many connections as it takes."""
import time

from .errors import PluginError
from .glance_answers import refused
from .http_exchange import MAX_CHUNKS
from .timing import WATCH_EVERY_SECONDS, clock
from .wire import PROGRESS_BYTES

RESUME_PAUSES = (1, 2, 4, 8, 15, 30, 60)  # seconds before each further try, as long as nothing comes
MAX_RESUMPTIONS = 1000  # in all; each, but for those of the pauses, brings PROGRESS_BYTES at least
PAGES = ('text/', 'application/json')  # what proxies and caches answer with; Glance sends data as octets


def require_active(record, size, sha512):
    """Before anything is made ready for it: the image, as it should be."""
    if record['status'] != 'active':
        gone = record['status'] in ('deleted', 'pending_delete')
        raise PluginError('IMAGE_GONE' if gone else 'IMAGE_NOT_ACTIVE', 'the image is %s, not active' % record['status'])
    known = record['os_hash_value'] if record['os_hash_algo'] == 'sha512' else None
    for what, theirs, ours in (('size', record['size'], size), ('sha512', known, sha512)):
        if None not in (theirs, ours) and theirs != ours:
            raise PluginError('HASH_MISMATCH', 'the image has the %s %s in Glance, and not %s' % (what, theirs, ours))


class Download(object):
    """For one use. `had` is how many bytes have come: whoever gets them need not know of connections that break."""

    def __init__(self, glance, size):
        self.glance, self.size = glance, size
        self.had = 0

    def pieces(self):
        fruitless = 0
        for _ in range(MAX_RESUMPTIONS):
            had = self.had
            try:
                for piece in self.connection():
                    yield piece
                if self.had == self.size:
                    return
                trouble = PluginError('GLANCE_UNAVAILABLE', 'the image\'s data ended after %d of %d bytes'
                                      % (self.had, self.size), True)
            except PluginError as exc:
                trouble = exc
                if trouble.code == 'GLANCE_UNAVAILABLE' and self.had == self.size:
                    return  # how it ends is the connection's affair; of what has come, its hash tells
            if trouble.code == 'GLANCE_UNAUTHORIZED' and self.had:  # it was good when this began
                raise PluginError(trouble.code, trouble.message, True)
            fruitless = 0 if self.had - had >= PROGRESS_BYTES else fruitless + 1
            if trouble.code != 'GLANCE_UNAVAILABLE' or fruitless > len(RESUME_PAUSES):
                raise trouble
            self.pause(RESUME_PAUSES[max(fruitless - 1, 0)])
        raise trouble

    def pause(self, seconds):
        end = clock() + seconds
        while clock() < end:
            self.glance.watch()
            time.sleep(WATCH_EVERY_SECONDS)

    def connection(self):
        """What one connection brings of what is missing."""
        glance = self.glance
        headers = glance.headers[:2] + [('Accept', 'application/octet-stream')] + glance.headers[3:]
        if self.had:
            headers.append(('Range', 'bytes=%d-' % self.had))
        with glance.exchange() as exchange:
            exchange.start('GET', glance.image_path + '/file', headers)
            answer = exchange.head_of_answer()
            if answer.status not in (200, 206):
                if answer.status >= 300:
                    exchange.read_excerpt(answer)
                raise refused(answer, 'GET of the data')
            if answer.headers.get('content-type', '').lower().startswith(PAGES):
                raise PluginError('GLANCE_UNAVAILABLE', 'something answers for Glance, with a page in place of data', True)
            behind = self.bytes_before(answer)
            for piece in self.as_it_comes(exchange, answer):
                known = min(len(piece), behind)
                behind -= known
                piece = piece[known:]
                self.had += len(piece)
                if self.had > self.size:
                    raise self.another('more than its %d bytes' % self.size)
                if piece:
                    yield piece

    def bytes_before(self, answer):
        """How many of those that come are known. A store that knows no ranges begins at 0."""
        total = answer.length
        if answer.status == 206:
            wanted = 'bytes %d-%d/' % (self.had, self.size - 1)
            told = answer.headers.get('content-range', '')
            if not (self.had and told.startswith(wanted) and told[len(wanted):] in ('*', str(self.size))):
                raise PluginError('GLANCE_REFUSED', 'Glance was asked for bytes from %d on, and answers "%s"'
                                  % (self.had, told), True)
            total = total if total is None else self.had + total
        if total is not None and total != self.size:
            raise self.another('%d bytes, and not the %d that it has' % (total, self.size))
        return self.had if answer.status == 200 else 0

    @staticmethod
    def another(what):
        return PluginError('HASH_MISMATCH', 'Glance sends another image: %s' % what)

    def as_it_comes(self, exchange, answer):
        """The time that whoever takes it needs is not the peer's."""
        moved = 0
        for piece in exchange.body_pieces(answer, self.size // 1024 + MAX_CHUNKS):
            began = clock()
            yield piece
            exchange.deadline += clock() - began
            moved += len(piece)
            if moved >= PROGRESS_BYTES:
                exchange.deadline, moved = clock() + exchange.wire.timeout_seconds, 0
