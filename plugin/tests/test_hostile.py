# coding: utf-8
"""Peers that mean no good: what they send and how slowly they do it neither holds up the plugin nor fills its memory."""
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest

from hostile import END, Peer
from support import HERE, TOKEN, CertificateTest, PluginTest, load_plugin, xmlrpclib

from src.glance_answers import read_record
from src.untrusted import read_json, read_xml

RUNS = int(os.environ.get('XENSNAP_HOSTILE_RUNS', 200))
SEED = int(os.environ.get('XENSNAP_HOSTILE_SEED', 1))


class ManyTest(unittest.TestCase):
    def test_every_hostile_answer_ends_in_time_in_little_memory_and_as_it_is_documented(self):
        """In a process of its own, whose memory is measured."""
        process = subprocess.Popen([sys.executable, os.path.join(HERE, 'hostile.py'), str(RUNS), str(SEED)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate()
        told = '%d hostile answers of seed %d: %s\n%s' % (RUNS, SEED, out.decode('ascii'), err.decode('utf-8', 'replace'))
        sys.stderr.write(told)
        self.assertEqual(process.returncode, 0, told)
        self.assertEqual(sum(json.loads(out.decode('ascii'))['outcomes'].values()), RUNS)


class ReaderTest(unittest.TestCase):
    """One exchange with a peer that sends just this."""

    def setUp(self):
        self.plugin, self.peer = load_plugin(), Peer()
        self.plugin.clock, self.plugin.select = self.peer.clock, self.peer

    def exchange(self, sends, takes=None, watch=None):
        self.peer.connect(sends, takes)
        return self.plugin.HttpExchange(self.plugin.Wire(self.peer, watch or self.plugin.never_stop, 10))

    def body(self, *pieces):
        return self.exchange([(0, piece) for piece in pieces]).request('GET', '/', [], 1000).body

    def refuses(self, *pieces):
        with self.assertRaises(self.plugin.ConnectionTrouble) as caught:
            self.body(*pieces)
        return str(caught.exception)

    def test_reads_bodies_of_each_kind(self):
        for answer in (b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellomore', b'HTTP/1.0 200\r\n\r\nhello',
                       b'HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n2 \r\nhe\r\n03;x="y"\r\nllo\r\n0\r\nX: y\r\n\r\n',
                       b'HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello'):
            self.assertEqual(self.body(answer), b'hello')
            self.assertEqual(self.body(*[answer[at:at + 1] for at in range(len(answer))]), b'hello')

    def test_refuses_a_length_that_is_no_number(self):
        for length in (u'²', u'+5', u'-5', u'5,5', u'0x5', u'1_0', u'', u'5 5', u'9' * 19):
            self.assertIn('Content-Length', self.refuses(u'HTTP/1.1 200 OK\r\nContent-Length: '.encode('ascii')
                                                         + length.encode('latin-1') + b'\r\n\r\nhello'))

    def test_refuses_an_answer_of_which_two_readers_see_two_ends(self):
        for lines in (('Content-Length: 5', 'Transfer-Encoding: chunked'), ('Content-Length: 5', 'Content-Length: 6'),
                      ('Content-Length: 5', 'Content-Length: 5'), ('Transfer-Encoding: gzip, chunked',),
                      ('Transfer-Encoding: xchunked',), ('Transfer-Encoding: chunked', 'Transfer-Encoding: gzip')):
            head = '\r\n'.join(('HTTP/1.1 200 OK',) + lines) + '\r\n\r\n'
            self.refuses(head.encode('ascii') + b'5\r\nhello\r\n0\r\n\r\n')

    def test_refuses_chunks_that_are_none(self):
        for size in (b'-5', b'+5', b'0x5', b'', b'\xb2', b'5_0', b'f' * 19):
            self.assertIn('bad chunk', self.refuses(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' + size + b'\r\nhello\r\n'))
        self.assertIn('bad chunk', self.refuses(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n'))

    def test_refuses_what_is_not_http_at_the_first_line(self):
        for line in (b'SSH-2.0-OpenSSH_9.9', b'HTTP/2 200', b'HTTP/1.1 2000 OK', b'HTTP/1.1 \xb2\xb2\xb2 OK', b'', b'HTTP/1.1 099 x'):
            self.peer.now = 1000.0
            self.assertIn('not HTTP', self.refuses(line + b'\r\n'))
            self.assertLess(self.peer.now, 1001)
        for line in (b'no colon', b' folded: x', b': x', b'a b: c', b'x: a\nb: c', b'x: \0'):
            self.assertIn('not HTTP', self.refuses(b'HTTP/1.1 200 OK\r\n' + line + b'\r\n\r\n'))

    def test_each_part_of_an_answer_has_its_limit(self):
        plugin, head = self.plugin, b'HTTP/1.1 200 OK\r\n'
        chunked = head + b'Transfer-Encoding: chunked\r\n\r\n'
        for words, pieces in (
                ('line', (head + b'x' * (plugin.MAX_LINE_BYTES + 3),)), ('line', (chunked + b'5;' + b'x' * 9000,)),
                ('headers', (head + b'x: y\r\n' * 101 + b'\r\n',)), ('1001 interim', (b'HTTP/1.1 102 x\r\n\r\n' * 1001,)),
                ('interim', (b'HTTP/1.1 101 x\r\n\r\n',)), ('1000 bytes', (head + b'\r\n' + b'x' * 1001,)),
                ('1000 bytes', (head + b'Content-Length: 99999999999\r\n\r\n' + b'x' * 1001,)),
                ('1000 bytes', (chunked + b'fffffffffff\r\n' + b'x' * 1001,)),
                ('ended inside', (head + b'Content-Length: 5\r\n\r\nhell', END)), ('ended inside', (chunked + b'5\r\nhello\r\n', END))):
            self.assertIn(words, self.refuses(*pieces))
        plugin.MAX_CHUNKS = 5
        self.assertEqual(self.body(chunked + b'1\r\nx\r\n' * 4 + b'0\r\n'), b'xxxx')
        self.assertIn('5 chunks', self.refuses(chunked + b'1\r\nx\r\n' * 5 + b'0\r\n'))

    def test_the_words_of_a_refusal_are_read_as_far_as_they_come(self):
        self.assertEqual(self.body(b'HTTP/1.1 413 x\r\nContent-Length: 9\r\n\r\nhell', END), b'hell')
        self.assertEqual(self.body(b'HTTP/1.1 413 x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n'), b'')
        self.assertEqual(len(self.body(b'HTTP/1.1 413 x\r\n\r\n', b'x' * 60000)), self.plugin.EXCERPT_BYTES)

    def test_a_word_that_was_cut_at_the_end_is_no_half_of_the_token(self):
        self.plugin.keep_secret(TOKEN)
        for size in range(self.plugin.EXCERPT_BYTES - len(TOKEN), self.plugin.EXCERPT_BYTES):
            answer = self.exchange([(0, b'HTTP/1.1 413 x\r\n\r\n' + b'<b>' * (size // 3) + b'>' * (size % 3)),
                                    (0, TOKEN.encode('ascii') * 3)]).request('GET', '/', [], 0)
            self.assertNotIn(TOKEN[:4], answer.text())

    def test_the_text_of_a_page(self):
        for page, text in (
                ('<html><head><title>no</title></head><body>too <b>bad</b></body></html>', 'too bad'),
                ('<style>x</style>1<br>yes', '1 yes'), ('a <title x="y">b</title>c', 'a c'), ('<head', '<head'), ('', ''),
                ('<title>never ends', ''), ('no tags', 'no tags'), ('a<', 'a <')):
            self.assertEqual(' '.join(self.plugin.without_tags(page).split()), text)

    def test_the_text_of_the_worst_page_takes_no_time(self):
        began = time.time()
        for piece in ('<', '<title>', '</title><title>', '<head ', '>', '<title><head>'):
            self.plugin.without_tags(piece * 100000)
        self.assertLess(time.time() - began, 10)  # the expression that stood here took hours

    def stopped_after(self, sends, run, takes=None):
        """How long it takes by the peer's clock, while there is always something to do, to notice that it must stop."""
        plugin, asked = self.plugin, self.peer.now + 3

        def watch():
            if self.peer.now >= asked:
                raise plugin.PluginError('CANCELLED', 'x')
        with self.assertRaises(plugin.PluginError):
            run(self.exchange(sends, takes, watch))
        return self.peer.now - asked

    def endless(self, *pieces):
        for piece in pieces[:-1]:
            yield 0, piece
        while True:
            yield 0, pieces[-1]

    def test_cancel_is_noticed_while_bytes_flow(self):
        chunked = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
        self.plugin.MAX_INTERIM_ANSWERS = self.plugin.MAX_CHUNKS = 1 << 17  # the limits are not what ends it here
        self.plugin.MAX_LINE_BYTES = 1 << 16

        def get(exchange):
            exchange.request('GET', '/', [], 1 << 30)

        def put(exchange):
            exchange.start('PUT', '/', [])
            exchange.await_continue(5)
            while True:
                exchange.send_chunk(b'x' * 100000)

        for pieces in ((b'HTTP/1.1 100 x\r\n\r\n',), (chunked, b'1\r\nx\r\n'), (chunked + b'1;', b'x'), (b'HTTP/1.1 200 OK\r\n\r\n', b'x'),
                       (b'HTTP/1.1 200 OK\r\nx: ', b'y')):
            self.assertLess(self.stopped_after(self.endless(*pieces), get), 0.5, pieces)
        self.assertLess(self.stopped_after(self.endless(b'HTTP/1.1 103 x\r\n\r\n'), put), 0.5)
        self.assertLess(self.stopped_after(self.endless(b'HTTP/1.1 100 x\r\n\r\n'), put), 0.5)
        self.assertLess(self.stopped_after([(1e9, END)], put, takes=1), 0.5)
        self.assertLess(self.stopped_after([(1e9, END)], put), 0.5)

    def test_a_peer_that_reads_byte_by_byte_stands_still(self):
        exchange = self.exchange([(1e9, END)], takes=3)
        exchange.start('GET', '/', [])
        with self.assertRaises(self.plugin.ConnectionTrouble):
            exchange.send_chunk(b'x' * 100000)
        self.assertTrue(10 < self.peer.now - 1000 < 20, self.peer.now)
        exchange = self.exchange([(1e9, END)], takes=10000)
        self.assertTrue(exchange.send_chunk(b'x' * 300000))

    def test_a_name_with_many_addresses_that_do_not_answer_takes_no_longer_than_one(self):
        plugin, tried = self.plugin, []

        class Modules(object):
            def __getattr__(self, name):
                return getattr(socket, name)

            def getaddrinfo(self, *_what):
                return [(2, 1, 6, '', ('192.0.2.1', 80))] * 1000

            def socket(_self, *_what):
                tried.append(self.peer.now)
                return self.peer
        plugin.socket = Modules()
        self.peer.connect([(1e9, END)], 1e-12)
        self.peer.connect_ex = lambda _address: 115
        with self.assertRaises(plugin.ConnectionTrouble):
            plugin.connect_tcp('x', 80, plugin.never_stop, 50)
        self.assertLess(self.peer.now - 1000, 52)
        self.assertEqual(len(tried), 3)


class JsonTest(unittest.TestCase):
    def test_what_takes_python_long_or_much_is_no_json(self):
        for text in ('[' * 1000000, '{"a":' * 100000, '[' + '[],' * 30000 + '[]]', '{', '\xb2', ''):
            with self.assertRaises(ValueError):
                read_json(text)

    def test_a_number_without_end_is_infinity(self):
        began = time.time()
        for text in ('9' * 1000000, '1.' + '9' * 1000000, '9' * 41, '1e400', 'Infinity', '1e999999999999'):
            self.assertEqual(read_json(text), float('inf'))
        self.assertEqual(read_json('[-12, 1.5, 1e3, 99999999999999999999]'), [-12, 1.5, 1000, 99999999999999999999])
        self.assertLess(time.time() - began, 5)

    def test_a_record_of_glance_has_fields_of_its_kinds_or_is_none(self):
        self.assertEqual(read_record('{"status": "active", "size": 7, "x": [[]]}'),
                         {'status': 'active', 'size': 7, 'os_hash_algo': None, 'os_hash_value': None})
        for text in ('{}', '[]', '7', 'null', '{"status": 7}', '{"status": null}', '{"status": "x", "size": "7"}',
                     '{"status": "x", "size": 1e400}', '{"status": "x", "size": true}', '{"status": "x", "size": NaN}',
                     '{"status": "x", "os_hash_value": []}', '{"status": "x", "os_hash_algo": {}}'):
            with self.assertRaises(ValueError):
                read_record(text)

    def test_xml_has_no_entities_and_no_number_without_end(self):
        good = xmlrpclib.dumps(({'a': [1, 2.5, True, 'x' * 100]},), methodresponse=True)
        self.assertEqual(read_xml(good.encode('utf-8')), (({'a': [1, 2.5, True, 'x' * 100]},), None))
        for spoilt in (good.replace('<int>1<', '<int>%s<' % ('1' * 1000000)), good.replace('<methodResponse>', '<!DOCTYPE x><methodResponse>'),
                       good.replace('<double>', '<double>' + '1' * 100)):
            self.assertNotEqual(spoilt, good)
            with self.assertRaises(ValueError):
                read_xml(spoilt.encode('utf-8'))


class Listener(object):
    """One real socket; `serve` gets each connection in a thread."""

    def __init__(self, serve):
        self.serve, self.closed, self.reached = serve, False, threading.Event()
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.bind(('127.0.0.1', 0))
        self.sock.listen(5)
        self.thread = threading.Thread(target=self.accept)
        self.thread.daemon = True
        self.thread.start()

    def accept(self):
        while True:
            try:
                one = self.sock.accept()[0]
            except socket.error:
                return
            thread = threading.Thread(target=self.serve_one, args=(one,))
            thread.daemon = True
            thread.start()

    def serve_one(self, one):
        try:
            one.settimeout(30)
            self.serve(self, one)
        except (socket.error, ssl.SSLError):
            pass
        finally:
            one.close()

    def url(self, scheme):
        return '%s://localhost:%d' % (scheme, self.sock.getsockname()[1])

    def close(self):
        self.closed = True
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.sock.close()


class RealPeerTest(PluginTest):
    """By processes and sockets."""

    RECORD = b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"status": "queued"}'

    def setUp(self):
        PluginTest.setUp(self)
        self.a_template(pieces=250)

    def listen(self, serve):
        listener = Listener(serve)
        self.addCleanup(listener.close)
        return listener

    def cancelled_by_itself(self, upload):
        """Not killed: its own answer comes, in time."""
        time.sleep(0.3)
        began = time.time()
        self.assertEqual(self.call('cancel', {'jobId': self.job})['state'], 'cancelled')
        self.assertLess(time.time() - began, 5)
        self.fails('CANCELLED', False, upload.result)

    def next_job(self):
        self.job = self.job[:-4] + '%04x' % ((int(self.job[-4:], 16) + 1) % 65536)


class FlowTest(RealPeerTest):
    def upload_to(self, *pieces, **options):
        """An upload to a Glance that tells that the image is queued, and then sends the last piece again and again, and reads
        what it may of the rest."""
        def serve(listener, sock):
            if sock.recv(3) == b'GET':
                sock.sendall(self.RECORD)
                return
            for piece in pieces[:-1]:
                sock.sendall(piece)
            listener.reached.set()
            while not listener.closed:
                sock.sendall(pieces[-1])
                if options.get('reads'):
                    sock.recv(options['reads'])
                time.sleep(options.get('pause', 0))
        listener = self.listen(serve)
        upload = self.start('put_vdis', self.params(glanceUrl=listener.url('http'), **options.get('params', {})))
        self.assertTrue(listener.reached.wait(30))
        return upload

    def test_cancel_stops_an_upload_to_a_glance_that_never_stops_talking(self):
        chunked = b'HTTP/1.1 413 x\r\nTransfer-Encoding: chunked\r\n\r\n'
        for pieces in ((b'HTTP/1.1 413 x\r\n', b'x'), (chunked, b'1\r\nx\r\n')):
            self.cancelled_by_itself(self.upload_to(*pieces, pause=0.01))
            self.next_job()

    def test_cancel_stops_an_upload_to_a_glance_that_reads_byte_by_byte(self):
        self.cancelled_by_itself(self.upload_to(b'', b'', reads=1, pause=0.1))

    def test_a_glance_that_reads_byte_by_byte_or_sends_a_header_now_and_then_is_given_up(self):
        self.fails('GLANCE_UNAVAILABLE', True, self.upload_to(b'', b'', reads=1, pause=0.1, params={'timeoutSeconds': 1}).result)
        self.next_job()
        upload = self.upload_to(b'HTTP/1.1 201 x\r\n', b'x: y\r\n', pause=0.3, params={'timeoutSeconds': 1})
        self.fails('GLANCE_UNAVAILABLE', True, upload.result)

    def test_interim_answers_at_full_speed_end_at_once(self):
        upload = self.upload_to(b'HTTP/1.1 100 Continue\r\n\r\n' * 1000)
        self.assertIn('1001 interim', self.fails('GLANCE_UNAVAILABLE', True, upload.result).message)


class HandshakeTest(RealPeerTest, CertificateTest):
    """In place of a handshake, on https."""

    def server_hello(self):
        """What a real server sends to the plugin's greeting."""
        glance, taken = self.a_glance((self.certificate, self.key)), []

        def serve(_listener, sock):
            real = socket.create_connection(('127.0.0.1', glance.port))
            real.settimeout(0.5)
            real.sendall(sock.recv(65536))
            try:
                for data in iter(lambda: real.recv(65536), b''):
                    taken.append(data)
            except socket.timeout:
                pass
            real.close()
        listener = self.listen(serve)
        self.fails('GLANCE_UNAVAILABLE', True, self.put, glanceUrl=listener.url('https'))
        return b''.join(taken)

    def test_garbage_and_broken_handshakes_are_named_and_cost_no_time(self):
        hello = self.server_hello()
        self.assertGreater(len(hello), 500)
        for answer in (b'', b'HTTP/1.1 400 x\r\n\r\n', b'\x16\x03\x03\xff\xff' + b'x' * 65535, os.urandom(500),
                       hello[:100], hello[:300] + b'\xff' * 4 + hello[304:]):
            listener = self.listen(lambda _listener, sock: (sock.recv(65536), sock.sendall(answer)))
            self.next_job()
            with self.assertRaises(Exception) as caught:
                self.put(glanceUrl=listener.url('https'), timeoutSeconds=3)
            self.assertIn(caught.exception.code, ('GLANCE_UNAVAILABLE', 'GLANCE_CERTIFICATE'), answer)

    def trickle(self, hello):
        def serve(listener, sock):
            sock.recv(65536)
            listener.reached.set()
            for at in range(len(hello)):
                if listener.closed:
                    return
                sock.sendall(hello[at:at + 1])
                time.sleep(0.05)
        return self.listen(serve)

    def test_a_handshake_that_trickles_ends_with_the_time_or_a_cancel(self):
        listener = self.trickle(self.server_hello())
        self.next_job()
        began = time.time()
        self.fails('GLANCE_UNAVAILABLE', True, self.put, glanceUrl=listener.url('https'), timeoutSeconds=1)
        self.assertLess(time.time() - began, 30)  # all of it would take a minute and more
        self.next_job()
        listener.reached.clear()
        upload = self.start('put_vdis', self.params(glanceUrl=listener.url('https')))
        self.assertTrue(listener.reached.wait(30))
        self.cancelled_by_itself(upload)


if __name__ == '__main__':
    unittest.main()
