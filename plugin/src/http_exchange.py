"""One HTTP request and its answer."""
from .http_answer import Answer, MAX_LENGTH_DIGITS
from .pythons import steps
from .texts import HEX_DIGITS, consists_of
from .timing import clock
from .wire import ConnectionTrouble, RECEIVE_BYTES

MAX_HEADERS = 100  # as Python's http.client; of trailers, too
MAX_INTERIM_ANSWERS = 1000  # Glance sends one `100 Continue`; a proxy may say `102 Processing` now and then for hours
MAX_CHUNKS = 10000  # of a body
EXCERPT_BYTES = 1 << 14  # that are read of a body which is for the operator only


class HttpExchange(object):
    """One HTTP/1.1 request and its answer, on a connection of its own."""

    def __init__(self, wire):
        self.wire = wire
        self.continued = False
        self.final = None
        self.head = []  # the lines that have come of the next answer's head
        self.interim_answers = 0
        self.deadline = None  # for all of an answer; whoever takes a long body moves it, as long as enough comes

    def start(self, method, path, headers):
        lines = ['%s %s HTTP/1.1' % (method, path)] + ['%s: %s' % pair for pair in headers]
        self.wire.send(('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1'))

    def request(self, method, path, headers, max_bytes, body=b''):
        """The answer, whose body, where it is a success, may have `max_bytes`."""
        if body:
            headers = headers + [('Content-Length', len(body))]
        self.start(method, path, headers)
        self.wire.send(body, self.has_final)
        return self.answer(max_bytes)

    def await_continue(self, seconds):
        """Wait for `100 Continue` or a final answer, but not for ever: some servers and proxies do not
        know Expect. True when a final answer came, and nothing should be sent."""
        end = clock() + seconds
        while not self.has_final() and not self.continued and clock() < end:
            self.wire.watch()
            if not self.wire.pull():
                try:
                    self.wire.wait(True, False, end)
                except ConnectionTrouble:
                    break
        return self.has_final()

    def send_chunk(self, data):
        """False when the server answered or left instead of reading on."""
        size = ('%x\r\n' % len(data)).encode('ascii')
        return self.wire.send(b''.join((size, data, b'\r\n')), self.has_final)

    def send_terminator(self):
        self.wire.send(b'0\r\n\r\n')

    def has_final(self):
        """True when the final response's head is here, or the peer ended. Interim (1xx) ones are dropped."""
        while self.final is None:
            line = self.wire.take_line()
            if line is None:
                break
            self.add_to_head(line.decode('latin-1'))
        return self.final is not None or self.wire.ended

    def add_to_head(self, line):
        if not self.head:
            Answer.read_status(line)
        if line:
            if len(self.head) > MAX_HEADERS:
                raise ConnectionTrouble('the answer has more than %d headers' % MAX_HEADERS)
            self.head.append(line)
            return
        answer, self.head = Answer(self.head), []
        if answer.status >= 200:
            self.final = answer
            return
        self.continued = self.continued or answer.status == 100
        self.interim_answers += 1
        if answer.status == 101 or self.interim_answers > MAX_INTERIM_ANSWERS:
            raise ConnectionTrouble('instead of an answer there came %d interim ones, the last with the status %d'
                                    % (self.interim_answers, answer.status))

    def answer(self, max_bytes=0):
        """Wait for the final response. The body of a success is read whole and may have `max_bytes`; that of another
        answer is for the operator, and as much of it is read as comes."""
        answer = self.head_of_answer()
        if answer.status >= 300:
            self.read_excerpt(answer)
        elif max_bytes:
            body = bytearray()
            for piece in self.body_pieces(answer):
                body += piece
                if len(body) > max_bytes:
                    raise ConnectionTrouble('the answer is larger than %d bytes' % max_bytes)
            answer.body = bytes(body)
        return answer

    def head_of_answer(self):
        """The final response, whose body nobody has read yet."""
        self.deadline = clock() + self.wire.timeout_seconds
        while not self.has_final():
            self.wire.read_more(self.deadline)
        if self.final is None:
            raise ConnectionTrouble('the connection ended before an answer')
        return self.final

    def read_excerpt(self, answer):
        """The status counts, whatever becomes of the words."""
        body = bytearray()
        try:
            for piece in self.body_pieces(answer):
                body += piece
                if len(body) > EXCERPT_BYTES:
                    break
        except ConnectionTrouble:
            pass
        answer.body = bytes(body[:EXCERPT_BYTES])

    def body_pieces(self, answer, most_chunks=None):
        """The body as it comes, in MAX_CHUNKS at most unless told otherwise."""
        if answer.status in (204, 304):
            return
        if not answer.chunked:
            for piece in self.next_pieces(answer.length):
                yield piece
            return
        most_chunks = most_chunks or MAX_CHUNKS
        for _ in steps(most_chunks, 1):
            size = self.next_line().split(b';', 1)[0].strip().decode('latin-1')
            if not consists_of(size, HEX_DIGITS) or len(size) > MAX_LENGTH_DIGITS:
                raise ConnectionTrouble('the answer has a bad chunk')
            if int(size, 16) == 0:
                return  # trailers would follow; the connection is of no more use
            for piece in self.next_pieces(int(size, 16)):
                yield piece
            if self.next_line():
                raise ConnectionTrouble('the answer has a bad chunk')
        raise ConnectionTrouble('the answer has more than %d chunks' % most_chunks)

    def next_pieces(self, size):
        """The next `size` bytes, or, where it is None, all up to the end."""
        while size is None or size:
            piece = self.wire.take(RECEIVE_BYTES if size is None else min(size, RECEIVE_BYTES))
            if piece:
                size = size if size is None else size - len(piece)
                yield piece
            elif not self.wire.read_more(self.deadline):
                if size is None:
                    return
                raise ConnectionTrouble('the connection ended inside an answer')

    def next_line(self):
        while True:
            line = self.wire.take_line()
            if line is not None:
                return line
            if not self.wire.read_more(self.deadline):
                raise ConnectionTrouble('the connection ended inside an answer')

    def close(self, hard=False):
        self.wire.close(hard)
