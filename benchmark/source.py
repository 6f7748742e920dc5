"""Where bundles come from: a small HTTP server on 127.0.0.1, with or without TLS, that sends one file to whoever asks. Prints
its port. Usage: source.py FILE [CERTIFICATE_AND_KEY]"""
import http.server
import os
import shutil
import sys

from serving import serve


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        with open(sys.argv[1], 'rb') as data:
            self.send_response(200)
            self.send_header('Content-Type', 'application/octet-stream')
            self.send_header('Content-Length', str(os.fstat(data.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(data, self.wfile, 1 << 18)
        self.close_connection = True

    def log_message(self, *_args):
        pass


serve(Handler, sys.argv[2:])
