"""A Glance with one image, over plain sockets so that it can misbehave at any byte."""
import hashlib
import json
import socket
import ssl
import threading
import time

EXPECTED_TROUBLE = (socket.error, ssl.SSLError, ValueError)


class FakeGlance(object):
    def __init__(self, image_id, tls_files=None):
        self.image = {'id': image_id, 'status': 'queued', 'size': None, 'checksum': None, 'os_hash_algo': None,
                      'os_hash_value': None}
        self.requests = []  # (method, path, headers)
        self.data = None
        self.received = 0
        self.terminated = False
        self.lost = threading.Event()  # an upload ended without its terminator
        self.reached = threading.Event()  # `at_bytes` have come
        self.go_on = threading.Event()
        self.get_status = 200
        self.get_status_after_put = 200
        # What happens when at_bytes of a PUT's body have come: None, 'drop', 'stall', 'hold', or a status.
        self.at_bytes, self.behaviour = 0, None
        self.sends_continue = True
        self.before_answer = None  # 'drop', 'stall', 'interim' (answers without an end), or a status, once everything has come
        self.refuses = 0  # so many times to keep what has come whole: the image is queued again
        self.saving_seconds = 0  # so long it saves after the whole has come, and says so
        self.status_after = 'active'  # then
        self.spoilt = {}  # fields of the record that come out wrong
        self.stored = b''  # what GET of the data answers
        self.plans = []  # for one GET of the data each: how it is answered; see `send_file`
        self.error_body = '<html><title>no</title><body>too <b>bad</b></body></html>'
        self.context = None
        if tls_files:
            self.context = ssl.SSLContext(getattr(ssl, 'PROTOCOL_TLS_SERVER', ssl.PROTOCOL_SSLv23))
            self.context.load_cert_chain(*tls_files)
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self.listener.bind(('127.0.0.1', 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        self.url = '%s://localhost:%d' % ('https' if tls_files else 'http', self.port)
        self.closed = False
        self.thread = threading.Thread(target=self.accept)
        self.thread.daemon = True
        self.thread.start()

    def close(self):
        """Not before `accept` has come back: the number of a socket that is closed is soon that of the next server's, and
        a thread that is about to accept would take that one's connections."""
        self.closed = True
        self.go_on.set()
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self.thread.join()
        self.listener.close()

    def accept(self):
        while not self.closed:
            try:
                sock = self.listener.accept()[0]
            except EXPECTED_TROUBLE:
                return
            thread = threading.Thread(target=self.serve, args=(sock,))
            thread.daemon = True
            thread.start()

    def serve(self, sock):
        try:
            sock.settimeout(60)
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
            stream = sock.makefile('rb')
            method, path, _ = stream.readline().decode('ascii').split()
            headers = {}
            for line in iter(stream.readline, b'\r\n'):
                name, value = line.decode('ascii').split(':', 1)
                headers[name.lower()] = value.strip()
            self.requests.append((method, path, headers))
            if method == 'GET' and path.endswith('/file'):
                self.send_file(sock, headers, self.plans.pop(0) if self.plans else {})
            elif method == 'GET':
                self.get(sock)
            else:
                self.put(sock, stream)
        except EXPECTED_TROUBLE:
            pass
        finally:
            sock.close()

    def get(self, sock):
        status = self.get_status_after_put if self.data is not None else self.get_status
        self.reply(sock, status, json.dumps(self.image) if status == 200 else self.error_body)

    def store(self, data):
        """The image is active, and has this data."""
        self.stored = data
        self.image.update(status='active', size=len(data), os_hash_algo='sha512',
                          os_hash_value=hashlib.sha512(data).hexdigest())

    def send_file(self, sock, headers, plan):
        """A plan may have: `status`, instead of the data; `no_ranges`; `range`, a Content-Range; `length`, a Content-Length;
        `data`; `chunked`; `drop_at` or `hold_at`, when so many bytes have been sent; `piece`, how many are sent at a time; `type`."""
        if 'status' in plan:
            self.reply(sock, plan['status'], self.error_body)
            return
        data, begin, lines = plan.get('data', self.stored), 0, []
        if 'range' in headers and not plan.get('no_ranges'):
            begin = int(headers['range'][len('bytes='):].split('-')[0])
            lines.append('Content-Range: ' + plan.get('range', 'bytes %d-%d/%d' % (begin, len(data) - 1, len(data))))
        body = data[begin:]
        lines.append('Transfer-Encoding: chunked' if plan.get('chunked') else 'Content-Length: %d' % plan.get('length', len(body)))
        lines.append('Content-Type: %s' % plan.get('type', 'application/octet-stream'))
        head = ['HTTP/1.1 %s' % ('206 Part' if begin else '200 OK'), 'Connection: close'] + lines
        sock.sendall(('\r\n'.join(head) + '\r\n\r\n').encode('ascii'))
        step = plan.get('piece', 1 << 16)
        for at in range(0, len(body), step):
            piece = body[at:min(at + step, plan.get('drop_at', len(body)))]
            if plan.get('hold_at') is not None and at >= plan['hold_at']:
                self.reached.set()
                self.go_on.wait(60)
                if self.closed:
                    return
            sock.sendall(b'%x\r\n%s\r\n' % (len(piece), piece) if plan.get('chunked') and piece else piece)
            if at + step >= plan.get('drop_at', len(body) + step):
                self.reached.set()
                sock.shutdown(socket.SHUT_RDWR)  # Python 2.7 keeps a TLS connection that somebody reads from as a file
                return
        if plan.get('chunked'):
            sock.sendall(b'0\r\n\r\n')

    def reply(self, sock, status, body=''):
        sock.sendall(('HTTP/1.1 %d Word\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s'
                      % (status, len(body), body)).encode('ascii'))

    def put(self, sock, stream):
        self.image['status'] = 'saving'
        try:
            if not self.misbehave(sock):
                return
            if self.sends_continue:
                sock.sendall(b'HTTP/1.1 100 Continue\r\n\r\n')
            data = self.read_chunks(sock, stream)
            if data is not None:
                self.finish(sock, data)
        finally:
            if not self.terminated:
                self.image['status'] = 'queued'
                self.lost.set()

    def read_chunks(self, sock, stream):
        parts = []
        while True:
            size = int(stream.readline(), 16)
            data = stream.read(size)
            if len(data) < size or stream.read(2) != b'\r\n':
                return None
            if size == 0:
                self.terminated = True
                return b''.join(parts)
            parts.append(data)
            self.received += size
            if not self.misbehave(sock):
                return None

    def misbehave(self, sock):
        """True when the upload may go on."""
        if self.behaviour is None or self.received < self.at_bytes:
            return True
        behaviour, self.behaviour = self.behaviour, None
        self.reached.set()
        if behaviour in ('stall', 'hold'):
            self.go_on.wait(60)
            return behaviour == 'hold'
        if behaviour != 'drop':
            self.reply(sock, behaviour, self.error_body)
            return self.received > 0  # a real Glance goes on reading what it has refused
        return False

    def finish(self, sock, data):
        self.data = data
        if self.saving_seconds:
            timer = threading.Timer(self.saving_seconds, self.settle)
            timer.daemon = True
            timer.start()
        else:
            self.settle()
        if self.before_answer == 'drop':
            return
        if self.before_answer == 'interim':
            while not self.closed:
                sock.sendall(b'HTTP/1.1 102 Processing\r\n\r\n')
                time.sleep(0.02)
            return
        if self.before_answer == 'stall':
            self.reached.set()
            self.go_on.wait(60)
            return
        self.reply(sock, self.before_answer or 204, self.error_body if self.before_answer else '')

    def settle(self):
        if self.refuses:
            self.refuses -= 1
            self.image['status'] = 'queued'
            return
        data = self.data
        self.image.update(status=self.status_after, size=len(data), checksum=hashlib.md5(data).hexdigest(),
                          os_hash_algo='sha512', os_hash_value=hashlib.sha512(data).hexdigest())
        self.image.update(self.spoilt)
