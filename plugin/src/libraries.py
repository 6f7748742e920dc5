"""The libraries of the host that ctypes finds: libz, libc, libdeflate."""
from .pythons import ctypes


class ZStream(ctypes.Structure if ctypes else object):
    """z_stream of zlib.h."""

    if ctypes:
        _fields_ = [('next_in', ctypes.c_void_p), ('avail_in', ctypes.c_uint), ('total_in', ctypes.c_ulong),
                    ('next_out', ctypes.c_void_p), ('avail_out', ctypes.c_uint), ('total_out', ctypes.c_ulong),
                    ('msg', ctypes.c_char_p), ('state', ctypes.c_void_p), ('zalloc', ctypes.c_void_p),
                    ('zfree', ctypes.c_void_p), ('opaque', ctypes.c_void_p), ('data_type', ctypes.c_int),
                    ('adler', ctypes.c_ulong), ('reserved', ctypes.c_ulong)]

    def give(self, in_at, in_size, out_at, out_size):
        self.next_in, self.avail_in, self.next_out, self.avail_out = in_at, in_size, out_at, out_size


Z_OK, Z_SYNC_FLUSH, Z_BLOCK, Z_TREES, Z_DEFLATED, Z_DEFAULT_STRATEGY = 0, 2, 5, 6, 8, 0  # of zlib.h


class Libraries(object):
    """What ctypes finds on the host: libz (zlib, which Python's module wraps too), libc, and libdeflate, or
    None for that."""

    def __init__(self, libdeflate=True):
        pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        self.libz = self.load('libz.so.1', (
            ('zlibVersion', ctypes.c_char_p, []),
            ('deflateInit2_', number, [pointer] + 5 * [number] + [ctypes.c_char_p, number]),
            ('deflateTune', number, [pointer] + 4 * [number]),
            ('deflateReset', number, [pointer]),
            ('deflateSetDictionary', number, [pointer, pointer, ctypes.c_uint]),
            ('deflate', number, [pointer, number]),
            ('deflateEnd', number, [pointer]),
            ('inflateInit2_', number, [pointer, number, ctypes.c_char_p, number]),
            ('inflateSetDictionary', number, [pointer, ctypes.c_char_p, ctypes.c_uint]),
            ('inflateReset', number, [pointer]),
            ('inflate', number, [pointer, number]),
            ('inflateEnd', number, [pointer])))
        self.libc = self.load(None, (('memcmp', number, [pointer, pointer, size]),))
        self.libdeflate = None
        try:
            if libdeflate:
                self.libdeflate = self.load('libdeflate.so.0', (
                    ('libdeflate_alloc_compressor', pointer, [number]),
                    ('libdeflate_free_compressor', None, [pointer]),
                    ('libdeflate_deflate_compress', size, [pointer, pointer, size, pointer, size])))
        except (AttributeError, OSError):
            pass

    @staticmethod
    def load(name, functions):
        library = ctypes.CDLL(name)
        for function, result, arguments in functions:
            function = getattr(library, function)
            function.restype, function.argtypes = result, arguments
        return library


def load_libraries(libdeflate=True):
    """None where Python's own zlib has to do: without ctypes, or with another libz."""
    try:
        return Libraries(libdeflate) if ctypes else None
    except (AttributeError, OSError):
        return None


def address_of(data):
    return ctypes.addressof(ctypes.c_char.from_buffer(data))
