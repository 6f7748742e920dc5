# coding: utf-8
"""Answers that no honest Glance, proxy or xapi gives, and a peer that gives them by a clock which nobody waits for.

    python hostile.py RUNS SEED

runs that many against the plugin's own code, and writes one JSON object: how often what came of it, the dearest by CPU
time and by the peer's clock, and by how much the process grew. It ends with 1 at the first that breaks a promise."""
import errno
import itertools
import json
import os
import random
import re
import socket
import sys
import traceback

from support import HERE, load_plugin, xmlrpclib

TIMEOUT_SECONDS = 5
SAVING_SECONDS = 8  # in place of ten minutes
STEP_SECONDS = 0.001  # what one call of the system takes by the peer's clock
# What is promised. The CPU seconds are for a slow machine that has other things to do.
MOST_CPU_SECONDS = 10.0
MOST_GROWTH_KIB = 64 << 10
TOKEN = 'gAAAAA-a-token-nobody-may-see'
SHA512 = 'ab' * 64
SIZE = 200000

END, RESET, SILENCE = 'end', 'reset', 'silence'  # of what a peer sends


class Peer(object):
    """In the place of the plugin's sockets, `select` and clock. `sends` gives (seconds to wait, bytes) one after the other,
    for ever where it likes; `takes` is how many bytes it reads each second, or None."""

    error = socket.error

    def __init__(self):
        self.now = 1000.0
        self.connect(iter(()), None)

    def connect(self, sends, takes):
        self.sends, self.takes = iter(sends), takes
        self.due, self.coming = self.now, b''
        self.taken_at, self.room = self.now, 0 if takes else 1 << 60
        self.advance()

    def advance(self):
        while self.coming == b'':
            delay, self.coming = next(self.sends, (0, END))
            self.due = max(self.due, self.now) + delay

    def tick(self):
        self.now += STEP_SECONDS
        if self.takes:
            self.room += (self.now - self.taken_at) * self.takes
            self.taken_at = self.now

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    # A socket
    def fileno(self):
        return 0

    def setblocking(self, _flag):
        pass

    def setsockopt(self, *_what):
        pass

    def close(self):
        pass

    def recv(self, size):
        self.tick()
        if self.due > self.now:
            raise socket.error(errno.EAGAIN, 'wait')
        if self.coming == END:
            return b''
        if self.coming == RESET:
            raise socket.error(errno.ECONNRESET, 'reset')
        data, self.coming = self.coming[:size], self.coming[size:]
        self.advance()
        return data

    def send(self, view):
        self.tick()
        size = min(len(view), int(self.room))
        if not size:
            raise socket.error(errno.EAGAIN, 'wait')
        self.room -= size
        return size

    # The module
    def select(self, read, write, _errors, seconds):
        self.tick()
        if not (read and self.due <= self.now or write and self.room >= 1):
            until = [self.now + seconds]
            if read:
                until.append(self.due)
            if write:
                until.append(self.now + (1 - self.room) / self.takes)
            self.now = max(min(until), self.now)
            self.tick()
        return (read if self.due <= self.now else [], write if self.room >= 1 else [], [])


class Answers(object):
    """One after the other, by a number's own chance."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.spoils = False  # the token too, so that a part of it is nothing that we said

    def one_of(self, *choices):
        return self.random.choice(choices)

    def sends(self, body, kinds):
        """What the peer sends in place of an answer with this body: by `kinds`, and at its own pace."""
        parts = getattr(self, self.one_of(self.one_of(*kinds), self.one_of(*self.HONEST)))(body)
        return self.paced(parts, self.one_of('at once', 'at once', 'pieces', 'bytes', 'slow bytes', 'slow'))

    def paced(self, parts, pace):
        if isinstance(parts, bytes):
            parts = [parts]
        for part in parts:
            if part in (END, RESET):
                yield 0, part
            elif part == SILENCE:
                yield 1e9, END
            elif pace in ('bytes', 'slow bytes'):
                # An endless one ends with the plugin's patience, others are long enough.
                for begin in range(min(len(part), 3000)):
                    yield (0 if pace == 'bytes' else self.random.random()), part[begin:begin + 1]
                yield 0, part[3000:]
            elif pace == 'pieces':
                middle = self.random.randrange(len(part) + 1)
                yield self.random.random(), part[:middle]
                yield self.random.random(), part[middle:]
            else:
                yield (0 if pace == 'at once' else self.one_of(0.3, 1.0, 6.0)), part

    # Heads

    def head(self, *lines):
        return b''.join((line if isinstance(line, bytes) else line.encode('latin-1')) + b'\r\n' for line in lines + ('',))

    def good(self, body):
        return self.head('HTTP/1.1 200 OK', 'Content-Length: %d' % len(body)) + body

    def chunked(self, body):
        size = self.one_of(1, 7, 4096, 1 << 16)
        chunks = [b'%s\r\n%s\r\n' % (hexadecimal(len(piece)), piece)
                  for piece in (body[at:at + size] for at in range(0, min(len(body), 20000 * size), size))]
        return self.head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked') + b''.join(chunks) + b'0\r\n\r\n'

    def until_the_end(self, body):
        return self.head('HTTP/1.1 200 OK') + body

    def refusal(self, body):
        status = self.one_of(300, 302, 400, 401, 403, 404, 408, 409, 410, 413, 418, 429, 499, 500, 502, 503, 504, 599, 999)
        words = self.one_of(body, self.page(), self.page(), json.dumps({'message': TOKEN * 3}).encode('ascii'),
                            b'x' * (1 << 14), b'{"message": %s}' % body)
        return self.head('HTTP/1.1 %d No' % status, self.one_of('Content-Length: %d' % len(words), 'X: y')) + words

    def page(self):
        piece = self.one_of(b'<', b'<title>', b'<head><title>', b'<style ', b'</title>', b'<b>' + TOKEN.encode('ascii'), b'>',
                            b'<title>x</title>', b'\xff', b'<<>', TOKEN.encode('ascii'))
        return piece * self.one_of(1, 100, 60000, 300000 // len(piece))

    def success_too_soon(self, _body):
        return self.head('HTTP/1.1 %d Yes' % self.one_of(200, 201, 202, 204, 206, 299), 'Content-Length: 0')

    def status_line(self, body):
        line = self.one_of('HTTP/1.1 2000 OK', 'HTTP/1.1 20 OK', 'HTTP/1.1  200 OK', 'HTTP/2 200 OK', 'HTTP/1.1 \xb2\xb2\xb2 OK',
                           'HTTP/1.1 099 OK', 'http/1.1 200 OK', 'HTTP/1.1 200OK', '', 'SSH-2.0-OpenSSH_9.9', 'HTTP/1.1 -20 x',
                           'HTTP/1.1 2' + '0' * 9000, '\0' * 20, 'HTTP/1.1 101 Switching Protocols')
        return self.head(line, 'Content-Length: %d' % len(body)) + body

    def header_line(self, body):
        line = self.one_of('no colon', ': no name', ' folded: x', 'a b: c', 'x: ' + 'y' * 9000, 'x:y\n\nz: a', 'x\0: y', '\xfc: x',
                           'x: \r y', 'Content-Length : 5')
        return self.head('HTTP/1.1 200 OK', line, 'Content-Length: %d' % len(body)) + body

    def many_headers(self, body):
        return self.head('HTTP/1.1 200 OK', *['x: y'] * self.one_of(99, 100, 101, 5000)) + body

    def endless_headers(self, _body):
        return itertools.chain([b'HTTP/1.1 200 OK\r\n'], itertools.repeat(self.one_of(b'x: y\r\n', b'x', b'x' * 5000, b'\r', b'\n')))

    def endless_interim(self, _body):
        return itertools.repeat(self.head('HTTP/1.1 %d Go on' % self.one_of(100, 102, 103), *['x: y'] * self.one_of(0, 3, 50)))

    def some_interim(self, body):
        return self.head('HTTP/1.1 %d Go on' % self.one_of(100, 102, 103)) * self.one_of(1, 5, 999) + self.good(body)

    # Where the body ends

    def length(self, body):
        length = self.one_of(u'\xb2', '-1', '+5', '0x10', '1e3', '9' * 18, '9' * 5000, '', '5,5', '1_0', '5 5', str(len(body) + 1),
                             str(max(len(body) - 1, 0)), '00%d' % len(body), '5; x', 'NaN')
        return self.head('HTTP/1.1 200 OK', u'Content-Length: ' + length) + body

    def two_ends(self, body):
        lines = ['Content-Length: %d' % len(body), 'Content-Length: 1', 'Transfer-Encoding: chunked', 'Transfer-Encoding: gzip',
                 'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: chunked, chunked', 'Transfer-Encoding: xchunked',
                 'Transfer-Encoding:', 'TRANSFER-ENCODING: CHUNKED']
        return self.head('HTTP/1.1 200 OK', *self.random.sample(lines, self.one_of(1, 2, 3))) + body

    def chunk_size(self, body):
        size = self.one_of(b'-5', b'+5', b'0x5', b'1_0', b'\xb2', b'', b' ', b'f' * 17, b'f' * 40, b'5;' + b'x' * 9000, b'7fffffff',
                           b'ffffffffffffffff', b'g', b'-0', b'0 0')
        return self.head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked') + size + b'\r\n' + body + b'\r\n0\r\n\r\n'

    def chunk_end(self, body):
        return (self.head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked') + hexadecimal(len(body)) + b'\r\n' + body
                + self.one_of(b'xx', b'', b'0\r\n\r\n', b'\r\n', b'\n\n', b'\r\nx'))

    def endless_chunks(self, _body):
        chunk = self.one_of(b'1\r\nx\r\n', b'1;%s\r\nx\r\n' % (b'y' * 8000), b'ffff\r\n%s\r\n' % (b' ' * 65535), b'0', b'f', b';x', b'\r\n',
                            b'00', b'1\r\n[\r\n')
        return itertools.chain([self.head('HTTP/1.1 %d x' % self.one_of(200, 413, 503), 'Transfer-Encoding: chunked')],
                               itertools.repeat(chunk))

    def endless_trailers(self, _body):
        return itertools.chain([self.head('HTTP/1.1 200 x', 'Transfer-Encoding: chunked'), b'0\r\n'], itertools.repeat(b'x: y\r\n'))

    def endless_body(self, _body):
        return itertools.chain([self.head('HTTP/1.1 %d x' % self.one_of(200, 413, 503), self.one_of('X: y', 'Content-Length: ' + '9' * 17))],
                               itertools.repeat(self.one_of(b'x', b'x' * 5000, b'[' * 65536, b'<' * 65536)))

    # Bytes

    def noise(self, _body):
        return bytes(bytearray(self.random.randrange(256) for _ in range(self.one_of(0, 1, 10, 3000))))

    def endless_noise(self, _body):
        return itertools.repeat(self.one_of(b'\0', b'x' * 65536, b'\r', b'\n', b'\r\n', b'\x15\x03\x01\0\x02\x02\x28', b'H'))

    def spoilt(self, body):
        self.spoils = True
        data = bytearray(self.one_of(self.good, self.chunked, self.refusal)(body)[:1 << 16])
        for _ in range(self.one_of(1, 2, 20)):
            data[self.random.randrange(min(len(data), 200))] = self.random.randrange(256)
        return bytes(data)

    def broken_off(self, body):
        data = self.one_of(self.good, self.chunked, self.refusal)(body)
        return [data[:self.random.randrange(len(data))], self.one_of(END, RESET)]

    def nothing(self, _body):
        return [self.one_of(END, RESET)]

    def silence(self, _body):
        return [SILENCE]

    ENDLESS = ('endless_headers', 'endless_interim', 'endless_chunks', 'endless_trailers', 'endless_body', 'endless_noise')
    HONEST = ('good', 'good', 'chunked', 'until_the_end', 'refusal')
    KINDS = ENDLESS + ('silence', 'status_line', 'header_line', 'many_headers', 'some_interim', 'length', 'length', 'two_ends', 'two_ends',
                       'chunk_size', 'chunk_size', 'chunk_end', 'noise', 'spoilt', 'spoilt', 'broken_off', 'nothing')

    # Bodies

    def image(self):
        """Glance's record, more or less."""
        record = {'id': 'x', 'status': self.one_of('queued', 'saving', 'active', 'active', 'killed', 'deleted'), 'size': SIZE,
                  'os_hash_algo': 'sha512', 'os_hash_value': SHA512}
        text = json.dumps(record)
        times = self.one_of(10, 1000, 300000)
        hostile = self.one_of(
            '1e400', '-1e400', 'Infinity', 'NaN', '9' * self.one_of(30, 300, 5000, 1000000), '1.' + '9' * 500000, '1e999999999',
            '[' * times, '{"a":' * times, '[' * times + ']' * times, '{"a":' * min(times, 1000) + '1' + '}' * min(times, 1000),
            '[' + '[],' * times + '[]]', '[' + '{},' * times + '{}]', '[' + '"ab",' * (times // 2) + '1]', '"\\ud800"', u'"\xfc\ud800"',
            '"' + 'x' * times + '"', '"' + u'\U0001f600' * (times // 5) + '"', 'true', 'false', 'null', '[]', '{}', '0', '-1', '1.5', '""',
            '"active\\u0000"', '"' + TOKEN + '"', '"' + '<title>' * (times // 7) + '"', '[' + '1.5,' * (times // 2) + '1]')
        field = self.one_of('id', 'status', 'size', 'os_hash_algo', 'os_hash_value', 'name')
        how = self.one_of('as it is', 'as it is', 'field', 'field', 'field', 'alone', 'bytes', 'twice', 'without')
        if how == 'field':
            text = json.dumps(dict(record, **{field: 'HERE'})).replace('"HERE"', hostile)
        elif how == 'alone':
            text = hostile
        elif how == 'twice':
            text = text[:-1] + ', "%s": %s}' % (field, hostile)
        elif how == 'without':
            record.pop(field, None)
            text = json.dumps(record)
        try:
            data = text.encode('utf-8')
        except UnicodeError:  # Python 3 and half a character
            data = text.encode('utf-8', 'surrogatepass')
        return data + b'\xff\xfe' if how == 'bytes' else data

    def xml(self):
        """xapi's answer, more or less."""
        value = self.one_of({'Status': 'Success', 'Value': 'OpaqueRef:1'}, {'Status': 'Success', 'Value': ['OpaqueRef:1'] * 3},
                            {'Status': 'Failure', 'ErrorDescription': ['HANDLE_INVALID', 'VM', 'x']}, {'Status': 'Success'},
                            {'Status': 'Failure'}, {'Status': 'Failure', 'ErrorDescription': [[1], {'a': 'b'}]}, {}, [], 'x', 7,
                            {'Status': 'Failure', 'ErrorDescription': 7}, {'Status': 'Success', 'Value': {'uuid': 'HERE', 'VDI': 'HERE'}})
        text = xmlrpclib.dumps((value,), methodresponse=True)
        times = self.one_of(10, 1000, 60000)
        hostile = self.one_of(
            '<int>%s</int>' % ('9' * self.one_of(30, 5000, 1000000)), '<double>%s</double>' % ('9' * 300000), '<double>nan</double>',
            '<array><data>' * times, '<array><data>' + '<value><struct/></value>' * times + '</data></array>', '&a;', '<nil/>', '<x/>',
            '<array><data>' + '<value/>' * times + '</data></array>', '<base64>%%%</base64>', '<boolean>2</boolean>', '<int></int>',
            '<array><data>' * min(times, 1000) + '</data></array>' * min(times, 1000), 'x' * times, '<![CDATA[x]]>', '<!-- x -->', '<int>1')
        how = self.one_of('as it is', 'value', 'value', 'alone', 'entities', 'spoilt', 'fault', 'empty')
        if how == 'value':
            text = re.sub('<value>.*</value>', lambda _: '<value>%s</value>' % hostile, text, count=1, flags=re.S)
        elif how == 'alone':
            text = hostile
        elif how == 'entities':
            kinds = ''.join('<!ENTITY a%d "%s">' % (n, '&a%d;' % (n - 1) * 10 if n else 'x') for n in range(9))
            text = text.replace("<?xml version='1.0'?>", "<?xml version='1.0'?><!DOCTYPE x [%s]>" % kinds).replace('Success', '&a8;')
        elif how == 'spoilt':
            at = self.random.randrange(len(text))
            text = text[:at] + self.one_of('<', '>', '&', '\0', '</value>') + text[at + 1:]
        elif how == 'fault':
            text = xmlrpclib.dumps(xmlrpclib.Fault(1, 'x' * times), methodresponse=True)
        return b'' if how == 'empty' else text.encode('utf-8')


def hexadecimal(number):
    return ('%x' % number).encode('ascii')


def documented_codes():
    """What plugin/README.md's table has."""
    with open(os.path.join(os.path.dirname(HERE), 'README.md')) as handle:
        table = handle.read().split('## Error codes')[1].split('\n## ')[0]
    return set(code for line in table.splitlines() if line.startswith('| `') for code in re.findall('`([A-Z_]+)`', line.split('|')[1]))


class Trial(object):
    def __init__(self):
        self.plugin, self.peer = load_plugin(), Peer()
        plugin = self.plugin
        plugin.clock, plugin.select, plugin.SAVING_SECONDS = self.peer.clock, self.peer, SAVING_SECONDS
        plugin.time = type('Time', (), {'sleep': staticmethod(self.peer.sleep), 'time': staticmethod(plugin.time.time)})
        plugin.connect_tcp = plugin.connect_unix = self.connect
        plugin.keep_secret(TOKEN)
        self.codes = documented_codes()

    def connect(self, *where):
        watch, timeout_seconds = where[-2:]
        self.peer.connect(*self.next_answer())
        return self.plugin.Wire(self.peer, watch, timeout_seconds)

    def next_answer(self):
        """(what the peer sends, how many bytes it takes each second)"""
        answers = self.answers
        takes = answers.one_of(None, None, None, None, None, None, 1, 2000, 1 << 20)
        if self.asks == 'xapi':
            return answers.sends(answers.xml(), answers.KINDS), takes
        if self.connections and self.asks == 'upload' and answers.one_of(True, False):
            sends = answers.sends(b'', answers.KINDS + ('success_too_soon',) * 9)  # late enough, it is none too soon
            return itertools.chain([(0, answers.one_of(b'', b'HTTP/1.1 100 Continue\r\n\r\n')), (answers.one_of(0, 1, 9), b'')], sends), takes
        self.connections += 1
        return answers.sends(answers.image(), answers.KINDS), takes

    def run(self, seed):
        """(what came of it, CPU seconds, seconds of the peer). Raises AssertionError, or what must not come out."""
        self.answers, self.connections = Answers(seed), 0
        self.asks = self.answers.one_of('record', 'record', 'upload', 'upload', 'xapi')
        cpu, began = cpu_seconds(), self.peer.now
        try:
            outcome = getattr(self, self.asks)()
        except self.plugin.PluginError as exc:
            outcome = exc.code
            assert exc.code in self.codes, exc.code
            assert len(exc.message) <= self.plugin.MAX_MESSAGE_CHARS, len(exc.message)
            assert (TOKEN if self.answers.spoils else TOKEN[:8]) not in exc.message, exc.message
            self.plugin.failure(exc.description()).encode('ascii')
        # Eight trips to Glance at most, each of which may take its time for the request and for the answer.
        allowed = {'record': 2, 'xapi': 2 * self.plugin.Xapi.TIMEOUT_SECONDS // TIMEOUT_SECONDS, 'upload': 24}
        took, seconds = self.peer.now - began, cpu_seconds() - cpu
        assert took <= allowed[self.asks] * (TIMEOUT_SECONDS + 1) + (60 if self.asks == 'upload' else 1), took
        assert seconds <= MOST_CPU_SECONDS, seconds
        return '%s: %s' % (self.asks, outcome), seconds, took

    def glance(self):
        plugin = self.plugin
        return plugin.Glance({'glanceUrl': plugin.GlanceUrl('http://x:9292'), 'imageId': 'x', 'caPem': None, 'fingerprint': None,
                              'timeoutSeconds': TIMEOUT_SECONDS}, TOKEN, plugin.never_stop)

    def record(self):
        record = self.glance().record()
        assert isinstance(record['status'], (str, type(u'')))
        return 'a record'

    def upload(self):
        """From the first look to the last, as a run does it."""
        glance, self.connections = self.glance(), 1
        sent = []
        heard = self.plugin.send_data(glance, iter([b'x' * 65536] * 5), lambda: None, lambda piece: sent.append(len(piece)))
        assert heard is None or isinstance(heard, self.plugin.PluginError)
        self.connections = 0
        return self.plugin.upload_outcome(glance, heard, SIZE, SHA512)

    def xapi(self):
        xapi = self.plugin.Xapi(self.plugin.never_stop)
        xapi.session = 'OpaqueRef:1'
        getattr(xapi, self.answers.one_of('call', 'text', 'texts', 'record'))('VM.get_x', 'OpaqueRef:1')
        return 'a value'


def cpu_seconds():
    return sum(os.times()[:2])


def peak_kib():
    """Not by getrusage, which goes on with the peak of the process that started this one."""
    with open('/proc/self/status') as status:
        return int(re.search(r'VmHWM:\s*(\d+) kB', status.read()).group(1))


def main(runs, seed):
    trial = Trial()
    before, outcomes, dearest, slowest = peak_kib(), {}, (0, 0), (0, 0)
    for number in range(runs):
        try:
            outcome, seconds, took = trial.run(seed * 1000003 + number)
        except Exception:
            sys.stderr.write('number %d of seed %d:\n%s' % (number, seed, traceback.format_exc()))
            return 1
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        dearest, slowest = max(dearest, (round(seconds, 2), number)), max(slowest, (round(took, 1), number))
    growth = peak_kib() - before
    print(json.dumps({'outcomes': outcomes, 'cpuSeconds': dearest, 'peerSeconds': slowest, 'growthKib': growth}, sort_keys=True))
    return 1 if growth > MOST_GROWTH_KIB else 0


if __name__ == '__main__':
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
