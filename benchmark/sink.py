"""What bundles are sent to: a small HTTP server on 127.0.0.1, with or without TLS, that takes a chunked or
endless body and answers with its size and sha512. Prints its port. Usage: sink.py [CERTIFICATE_AND_KEY]"""
import hashlib
import http.server
import json
import sys

from serving import serve


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    last = {}

    def do_GET(self):
        """The record of the image, as Glance has it: `compare_sent` in the plugin reads it."""
        self.answer(200, dict(self.last, status='active'))

    def do_PUT(self):
        digest, size = hashlib.sha512(), 0
        for piece in self.pieces():
            digest.update(piece)
            size += len(piece)
        Handler.last = {'size': size, 'os_hash_algo': 'sha512', 'os_hash_value': digest.hexdigest()}
        self.answer(200, self.last)

    def pieces(self):
        while True:
            size = int(self.rfile.readline(), 16)
            left = size
            while left:
                piece = self.rfile.read(min(left, 1 << 16))
                if not piece:
                    raise EOFError('the body has no end')
                left -= len(piece)
                yield piece
            self.rfile.readline()
            if not size:
                return

    def answer(self, status, value):
        body = json.dumps(value).encode('ascii')
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_args):
        pass


serve(Handler, sys.argv[1:])
