"""The servers that benchmarks speak to: on 127.0.0.1, with TLS where there is a certificate."""
import http.server
import ssl


def serve(handler, certificates):
    """Prints the port, and serves for ever. `certificates` is empty, or has the file of a key and a certificate."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    for path in certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    server.serve_forever()
