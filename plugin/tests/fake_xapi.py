"""xapi's unix socket with the records that the plugin reads, and a log of the calls."""
import os
import threading
import uuid

try:
    import xmlrpc.client as xmlrpclib
    from http.server import BaseHTTPRequestHandler
    from socketserver import ThreadingMixIn, UnixStreamServer
    from urllib.parse import parse_qsl, urlsplit
except ImportError:
    import xmlrpclib
    from BaseHTTPServer import BaseHTTPRequestHandler
    from SocketServer import ThreadingMixIn, UnixStreamServer
    from urlparse import parse_qsl, urlsplit

NULL = 'OpaqueRef:NULL'


class Failure(Exception):
    pass


class FakeExport(object):
    """What GET /export_raw_vdi answers: a head without a length, the body, and the end of the connection."""

    def __init__(self):
        self.data = b''
        self.zeros = 0  # so many bytes of zeros after the data
        self.status = 200
        self.asked = []  # the queries
        self.ends_at = None  # the body ends after so many bytes
        self.hold_at = None  # it stands still after so many bytes, until go_on
        self.go_on = threading.Event()
        self.reached = threading.Event()
        self.more = b''
        self.task_error = []
        self.task_gone = False
        self.reader_left = threading.Event()

    def answer(self, http, xapi):
        query = dict(parse_qsl(urlsplit(http.path).query))
        self.asked.append(query)
        http.close_connection = True
        try:
            if self.status != 200:
                http.wfile.write(('HTTP/1.1 %d No\r\nConnection: close\r\n\r\n<html>no</html>' % self.status)
                                 .encode('ascii'))
            else:
                http.wfile.write(b'HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-type: application/vhd\r\n\r\n')
                self.write_body(http.wfile)
        except (IOError, OSError):
            self.reader_left.set()
            self.task_error = ['VDI_IO_ERROR', 'Device I/O errors']
        task = xapi.records.get(query['task_id'])
        if task:
            task[1].update(status='failure' if self.task_error else 'success', error_info=self.task_error)
        if self.task_gone:
            del xapi.records[query['task_id']]

    def write_body(self, out):
        if self.hold_at is not None:
            out.write(self.data[:self.hold_at])
            self.reached.set()
            self.go_on.wait(60)
        out.write(self.data[self.hold_at or 0:self.ends_at])
        for _ in range(self.zeros >> 20):
            out.write(b'\0' * (1 << 20))
        out.write(self.more)


class FakeXapi(object):
    def __init__(self, socket_path):
        self.records = {}
        self.calls = []
        self.bodies = []
        self.sessions = set()
        self.fail = {}  # method -> ErrorDescription
        self.hold = {}  # method -> an event that its answer waits for
        self.reached = threading.Event()
        self.export = FakeExport()
        self.device = 'xvdz'  # of the next VBD that is plugged
        self.plugging = set()  # VBDs whose plug is under way, whoever asked for it
        self.lost = []  # whose plug ended when they were gone: their disk stays attached for ever
        self.unplugs = []  # for one VBD.unplug each: an ErrorDescription, or None, which lets it go
        self.forced = False
        os.makedirs(os.path.dirname(socket_path))
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                fake.answer(self)

            def do_GET(self):
                fake.export.answer(self, fake)

            def log_message(self, *_args):
                pass

        class Server(ThreadingMixIn, UnixStreamServer):
            daemon_threads = True

            def handle_error(self, *_args):
                pass  # a plugin that was killed

        self.server = Server(socket_path, Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.02})
        self.thread.daemon = True
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add(self, kind, **fields):
        ref = 'OpaqueRef:%s' % uuid.uuid4()
        record = dict(fields, uuid=fields.get('uuid') or str(uuid.uuid4()))
        self.records[ref] = (kind, record)
        return ref

    def answer(self, http):
        body = http.rfile.read(int(http.headers['Content-Length']))
        args, method = xmlrpclib.loads(body)
        self.bodies.append(body)
        self.calls.append(method)
        if method in self.hold:
            if method == 'VBD.plug':
                self.plugging.add(args[1])
            self.reached.set()
            self.hold[method].wait(30)
        try:
            result = {'Status': 'Success', 'Value': self.run(method, args)}
        except Failure as exc:
            result = {'Status': 'Failure', 'ErrorDescription': list(exc.args)}
        data = xmlrpclib.dumps((result,), methodresponse=True).replace('\n', '').encode('utf-8')
        http.send_response(200)
        http.send_header('Content-Length', str(len(data)))
        http.end_headers()
        http.wfile.write(data)

    def run(self, method, args):
        if method in self.fail:
            raise Failure(*self.fail[method])
        if method == 'session.login_with_password':
            session = 'OpaqueRef:session-%s' % uuid.uuid4()
            self.sessions.add(session)
            return session
        if args[0] not in self.sessions:
            raise Failure('SESSION_INVALID', args[0])
        if method == 'session.logout':
            self.sessions.discard(args[0])
            return ''
        kind, action = method.split('.')
        if method == 'VBD.create':
            vbd = self.add('VBD', currently_attached=False, device='', **args[1])
            self.records[args[1]['VM']][1]['VBDs'].append(vbd)
            return vbd
        if method == 'task.create':
            return self.add('task', status='pending', error_info=[], label=args[1])
        if action == 'get_by_uuid':
            for ref, (known, record) in self.records.items():
                if known == kind and record['uuid'] == args[1]:
                    return ref
            raise Failure('UUID_INVALID', kind, args[1])
        if method == 'VBD.plug':
            self.plugging.discard(args[1])
            self.lost += [] if args[1] in self.records else [args[1]]
        if args[1] not in self.records or self.records[args[1]][0] != kind:
            raise Failure('HANDLE_INVALID', kind, args[1])
        if action in ('plug', 'unplug', 'unplug_force'):
            if args[1] in self.plugging:
                raise Failure('OTHER_OPERATION_IN_PROGRESS', 'VBD', args[1], 'plug', 'OpaqueRef:task')
            return self.plug(action, self.records[args[1]][1])
        if method == 'VBD.destroy':
            if self.records[args[1]][1]['currently_attached']:
                raise Failure('OPERATION_NOT_ALLOWED', 'VBD is attached')
            self.records[self.records[args[1]][1]['VM']][1]['VBDs'].remove(args[1])
        if action == 'destroy':
            del self.records[args[1]]
            return ''
        record = self.records[args[1]][1]
        if kind == 'VBD':
            record['current_operations'] = {'OpaqueRef:task': 'plug'} if args[1] in self.plugging else {}
        if action == 'get_record':
            return record
        return record[action[len('get_'):]]

    def plug(self, action, vbd):
        self.forced = self.forced or action == 'unplug_force'
        trouble = self.unplugs.pop(0) if action == 'unplug' and self.unplugs else None
        if trouble:
            vbd['currently_attached'] = trouble[0] != 'DEVICE_ALREADY_DETACHED'
            raise Failure(*trouble)
        if action == 'unplug' and not vbd['currently_attached']:
            raise Failure('DEVICE_ALREADY_DETACHED', 'VBD')
        vbd.update(currently_attached=action == 'plug', device=self.device)
        return ''
