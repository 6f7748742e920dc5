"""Raw deflate by Python's own zlib, and of what needs no engine: zeros, and data that does not shrink."""
import struct
import sys
import zlib

BLOCK_BYTES = 1 << 16  # zeros are looked for, and incompressible data is looked at, in blocks of this size
ZERO_BLOCK = b'\0' * BLOCK_BYTES
SAMPLE_BYTES = 2048
STORED_MAX = 65535
MEMORY_LEVEL = 8  # zlib's own default, and smaller output than 9 on the disks it was measured on
SYNC = b'\0\0\xff\xff'  # what an empty stored block holds after its head


def part_of(data, begin, end):
    """data[begin:end] of a bytearray, without copying; `bytes` of it, or of a slice of it, is a copy. The zlib
    of Python 2.7 takes no memoryview."""
    if sys.version_info[0] == 2:
        return buffer(data, begin, end - begin)  # noqa: F821
    return memoryview(data)[begin:end]


def stored(data, begin, end):
    """Parts to be joined at once: data[begin:end] in stored blocks."""
    parts = []
    for offset in range(begin, end, STORED_MAX):
        size = min(STORED_MAX, end - offset)
        piece = part_of(data, offset, offset + size)
        parts += [struct.pack('<BHH', 0, size, size ^ 0xffff),
                  bytes(piece) if sys.version_info[0] == 2 else piece]  # 2.7 joins nothing else
    return parts


def samples_look_random(data, begin, end):
    """By four samples. Whatever they say, the data comes out right; only its size depends on it."""
    size = end - begin
    if size < 4 * SAMPLE_BYTES:
        return False
    sample = b''.join(bytes(part_of(data, begin + offset, begin + offset + SAMPLE_BYTES))
                      for offset in (0, size // 3, size * 2 // 3, size - SAMPLE_BYTES))
    return len(zlib.compress(sample, 1)) > len(sample) * 0.985


def spread_looks_random(data, begin):
    """The same for a block at a fiftieth of the price: of every 127th byte, some 221 values differ where the
    data is random, and seldom more than 190 in programs. It knows nothing of repetitions. Of every 1021st, some 57
    do, and seldom more than 48 in programs: that look comes first, for it costs little."""
    end = begin + BLOCK_BYTES
    return len(set(data[begin:end:1021])) >= 48 and len(set(data[begin:end:127])) >= 205


class Zeros(object):
    """What so many zeros come to, worked out once for each number."""

    def __init__(self):
        self.known = {}

    def __call__(self, size):
        """(deflated, crc)"""
        if size not in self.known:
            data = bytearray(size)
            self.known[size] = ZlibModule(9)(data, 0, size), zlib.crc32(part_of(data, 0, size)) & 0xffffffff
        return self.known[size]


class ZlibModule(object):
    """Raw deflate that ends on a byte and needs nothing that came before, without a last block: it can be
    followed by more of its kind. By Python's own module, which every host has."""

    def __init__(self, level):
        self.level = level

    def __call__(self, data, begin, end):
        deflate = zlib.compressobj(self.level, zlib.DEFLATED, -zlib.MAX_WBITS, MEMORY_LEVEL)
        return deflate.compress(part_of(data, begin, end)) + deflate.flush(zlib.Z_FULL_FLUSH)

    def close(self):
        pass


zeros_deflated = Zeros()
