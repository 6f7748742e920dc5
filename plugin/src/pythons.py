"""What differs between Python 2.7 and its successors."""

try:
    import queue
    import xmlrpc.client as xmlrpclib
    from urllib.parse import urlsplit
except ImportError:  # Python 2.7, on hosts up to XenServer 7.x and XCP-ng 8.2
    import Queue as queue
    import xmlrpclib
    from urlparse import urlsplit

try:
    import ctypes
except ImportError:  # a Python built without libffi: then zlib alone, and no idle I/O
    ctypes = None

text_type = type(u'')
WHOLE = (int, type(1 << 64))  # Python 2.7 has two kinds


def steps(total, step):
    """range(0, total, step), without the list that Python 2.7 makes of it: 2 TiB have two million steps."""
    offset = 0
    while offset < total:
        yield offset
        offset += step
