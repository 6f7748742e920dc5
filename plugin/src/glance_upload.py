"""The data of an image: when it may be sent, how, and what became of it."""
import time

from .errors import PluginError
from .glance_answers import PERMANENT_STATUSES, refused
from .timing import WATCH_EVERY_SECONDS, clock

CLEAR_REFUSALS = frozenset(status for status in PERMANENT_STATUSES if status < 500 and status != 409)
SAVING_SECONDS = 600  # how long an image may be `saving` after all of it was sent: a store may copy it
ABORTED_SECONDS = 2  # the same after one that was broken off, which Glance notices at once
SAVING_LOOK_SECONDS = 2
RECORD_SECONDS = 20


def require_queued(glance, sent=None):
    """Before anything is sent. An earlier try may have sent all (`sent`: size and sha512) without hearing so: what
    Glance made of it is waited for. True when it has taken just that, so that there is nothing to send. What an
    earlier try has not sent whole can become no image: if Glance does not notice that soon, it never will."""
    record = settled_record(glance, limit=SAVING_SECONDS if sent else ABORTED_SECONDS)
    status = record['status']
    if status == 'queued':
        return False
    if status == 'active' and sent and compare_sent(record, *sent) == 'matches':
        return True
    raise not_queued(status)


def not_queued(status):
    gone = status in ('deleted', 'pending_delete')
    return PluginError('IMAGE_GONE' if gone else 'IMAGE_NOT_QUEUED', 'the image is %s, not queued' % status)


def settled_record(glance, patience=0, limit=None):
    """The image's record; while it is `saving`, it is waited for. One that cannot be read just now, for so many
    seconds."""
    end, patient_until = clock() + (SAVING_SECONDS if limit is None else limit), clock() + patience
    while True:
        try:
            record = glance.record()
            if record['status'] != 'saving' or clock() > end:
                return record
            patient_until = clock() + patience
        except PluginError as exc:
            if exc.code != 'GLANCE_UNAVAILABLE' or clock() >= patient_until:
                raise
        pause = clock() + SAVING_LOOK_SECONDS
        while clock() < pause:
            glance.watch()
            time.sleep(WATCH_EVERY_SECONDS)


def send_data(glance, pieces, before_terminator, count_sent):
    """PUT the pieces in chunks. The terminator, which makes an image of them, goes out only after the
    last piece and `before_terminator` are through without an exception. Returns None, or, where there was no
    clear answer to the whole, what was heard instead, as a PluginError: what Glance has then, only its record
    knows. A proxy between us and Glance may give up (502 to 504, 408, 499) while Glance goes on, and may send
    the whole twice (409)."""
    headers = glance.headers + [('Content-Type', 'application/octet-stream'), ('Transfer-Encoding', 'chunked'),
                                ('Expect', '100-continue')]
    with glance.exchange() as exchange:
        exchange.start('PUT', glance.image_path + '/file', headers)
        early = exchange.await_continue(min(5, glance.timeout_seconds))
        for piece in () if early else gather(pieces, 1 << 18):
            if not exchange.send_chunk(piece):
                early = True
                break
            count_sent(piece)
        if not early:
            before_terminator()
            exchange.wire.pull()
            early = exchange.has_final()
        if early:
            answer = exchange.answer()
            if answer.status < 300:
                raise PluginError('GLANCE_UNAVAILABLE', 'something answered %d for Glance before that had everything'
                                  % answer.status, True)
            raise refused(answer, 'PUT of the data')
        try:
            with glance.troubles_named():
                exchange.send_terminator()
                answer = exchange.answer()
        except PluginError as exc:
            if exc.code != 'GLANCE_UNAVAILABLE':
                raise
            return PluginError(exc.code, 'no answer to the whole data: %s' % exc.message, True)
        if answer.status in (200, 201, 204):
            return None
        refusal = refused(answer, 'PUT of the data')
        if answer.status in CLEAR_REFUSALS:
            raise refusal
        return refusal


def upload_outcome(glance, heard, size, sha512):
    """After all was sent: "matches", or "unchecked" where Glance does not tell (an expired token, say). `heard` is
    what `send_data` returned; if that was no success, or none by the record, Glance's record decides."""
    try:
        record = settled_record(glance, RECORD_SECONDS)
    except PluginError as exc:
        if exc.code in ('CANCELLED', 'INTERRUPTED', 'IMAGE_GONE'):
            raise
        record = {'status': None}
    status = record['status']
    compared = compare_sent(record, size, sha512) if status == 'active' else 'unchecked'
    if not heard and status not in (None, 'active'):
        heard = PluginError('GLANCE_UNAVAILABLE', 'Glance said that it has all, but the image is %s' % status, True)
    if not heard or compared == 'matches':
        return compared
    if status == 'saving':
        # For good: no other try can be made with an image that Glance takes for being written.
        raise PluginError('IMAGE_NOT_QUEUED', '%s; the image has been saving for %d seconds since'
                          % (heard.message, SAVING_SECONDS))
    if status not in (None, 'queued', 'active'):
        raise not_queued(status)
    raise heard


def compare_sent(record, size, sha512):
    """Of an active image: "matches", or "unchecked" where Glance does not tell."""
    pairs = [('size', record.get('size'), size)]
    if record.get('os_hash_algo') == 'sha512':
        pairs.append(('sha512', record.get('os_hash_value'), sha512))
    told = [pair for pair in pairs if pair[1] is not None]
    for what, theirs, ours in told:
        if theirs != ours:
            raise PluginError('HASH_MISMATCH', 'Glance has the %s %s, but %s was sent' % (what, theirs, ours))
    return 'matches' if len(told) > 1 else 'unchecked'


def gather(pieces, least_bytes, most_seconds=1.0):
    """Join small pieces, so that a chunk is worth its system calls; but a connection should not fall silent
    while zeros are read."""
    held, size, since = [], 0, clock()
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= least_bytes or not 0 <= clock() - since < most_seconds:
            yield b''.join(held)
            held, size, since = [], 0, clock()
    if size:
        yield b''.join(held)
