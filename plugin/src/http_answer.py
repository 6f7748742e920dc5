"""The head of an HTTP answer, and what its body says.

The limits here and in http_exchange hold for every answer, whoever sends it: the plugin can work with no server that
sends more.
"""
from .secrecy import hide_secrets, without_half_a_secret
from .texts import DIGITS, consists_of, is_text
from .untrusted import read_json
from .wire import ConnectionTrouble

MAX_LENGTH_DIGITS = 18
EXCERPT_CHARS = 200

NAME_CHARS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
HIDDEN_TAGS = ('title', 'head', 'style')


def without_tags(html):
    """The text of a page, in one pass."""
    pieces = html.split('<')
    words, hidden = [pieces[0]], None
    for piece in pieces[1:]:
        tag, ended, text = piece.partition('>')
        if hidden:
            hidden = None if tag == '/' + hidden else hidden
        elif not ended:
            text = '<' + piece
        elif tag.split(' ', 1)[0] in HIDDEN_TAGS:
            hidden = tag.split(' ', 1)[0]
        words.append('' if hidden else text)
    return ' '.join(words)


class Answer(object):
    """The head of one, of which nothing is taken that two readers may take for different things. `length` is that of the
    body, or None: it ends with its last chunk where it is `chunked`, else with the connection."""

    def __init__(self, lines):
        self.status = self.read_status(lines[0])
        self.headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(':')
            name = name.lower()
            if not colon or not consists_of(name, NAME_CHARS):
                raise ConnectionTrouble('the answer is not HTTP')
            if name in self.headers and name in ('content-length', 'transfer-encoding'):
                raise ConnectionTrouble('the answer has %s twice' % name)
            self.headers[name] = value.strip()
        self.chunked = 'transfer-encoding' in self.headers
        self.length = self.read_length()
        self.body = b''

    @staticmethod
    def read_status(line):
        """Also of a line that comes alone: a server of something else is told at once."""
        code = line[9:12]
        if line[:9] not in ('HTTP/1.1 ', 'HTTP/1.0 ') or not consists_of(code, DIGITS) or len(code) < 3 \
                or code < '100' or line[12:13] not in ('', ' '):
            raise ConnectionTrouble('the answer is not HTTP')
        return int(code)

    def read_length(self):
        length = self.headers.get('content-length')
        if self.chunked and (length is not None or self.headers['transfer-encoding'].lower() != 'chunked'):
            raise ConnectionTrouble('the answer has a Transfer-Encoding that is not just chunked, or a Content-Length too')
        if length is None:
            return None
        if not consists_of(length, DIGITS) or len(length) > MAX_LENGTH_DIGITS:
            raise ConnectionTrouble('the answer has a Content-Length that is no number')
        return int(length)

    def text(self):
        """What the body says, on one short line: Glance answers in JSON, plain text or HTML."""
        plain = self.body.decode('utf-8', 'replace')
        try:
            message = read_json(plain)['message']
            plain = message if is_text(message) else plain
        except (ValueError, KeyError, TypeError):
            plain = without_tags(plain)
        # In this order: half a token is a secret, too.
        return without_half_a_secret(hide_secrets(' '.join(plain.split())))[:EXCERPT_CHARS]
