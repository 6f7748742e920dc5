"""Raw deflate by libdeflate."""
import zlib

from .chunk import CHUNK_BYTES
from .deflate import BLOCK_BYTES, SYNC, ZERO_BLOCK, ZlibModule, part_of
from .libraries import ZStream, Z_BLOCK, Z_OK, Z_TREES, address_of
from .pythons import ctypes


class Libdeflate(object):
    """What ZlibModule does, by libdeflate, which makes whole streams only. Such a stream can be followed by
    others when the mark of its last block is taken off and an empty stored block fills its last byte. That
    needs the bit at which the last block begins, and how many bits of the last byte it leaves free.

    At level 1, 64 KiB mostly make a single block, which the mark at its very beginning proves; then only its
    end is to be found, and `free_bits` does without inflating it. Any other stream is inflated, and compared
    with the data while at it. For one thread."""

    MOST_BYTES = {1: BLOCK_BYTES}  # a block of level 1 holds 65535 bytes, or 4999 more where it is the last
    SINGLE_DYNAMIC = 5  # the three bits that such a stream begins with: the last block, with codes of its own
    TAIL_BYTES = 64
    LAST_BLOCK, AT_BLOCK = 64, 128  # in data_type after inflate()

    def __init__(self, libraries, level):
        self.libdeflate, self.libz, self.libc = libraries.libdeflate, libraries.libz, libraries.libc
        self.most_bytes = self.MOST_BYTES.get(level, CHUNK_BYTES)
        self.zlib = ZlibModule(level)
        self.out = bytearray(CHUNK_BYTES + CHUNK_BYTES // 8 + 1024)
        self.plain = bytearray(self.most_bytes)
        self.out_at, self.plain_at = address_of(self.out), address_of(self.plain)
        self.stream = ZStream()
        self.reference = ctypes.byref(self.stream)
        self.compressor = self.libdeflate.libdeflate_alloc_compressor(level)
        ready = self.libz.inflateInit2_(self.reference, -zlib.MAX_WBITS, self.libz.zlibVersion(),
                                        ctypes.sizeof(ZStream))
        if ready != Z_OK or not self.compressor:
            raise MemoryError('libdeflate or zlib')

    def close(self):
        self.libz.inflateEnd(self.reference)
        self.libdeflate.libdeflate_free_compressor(self.compressor)

    def __call__(self, data, begin, end):
        used = 0
        for offset in range(begin, end, self.most_bytes):
            used += self.piece(data, offset, min(offset + self.most_bytes, end), used)
        return bytes(part_of(self.out, 0, used))

    def piece(self, data, begin, end, at):
        """Put data[begin:end], deflated, into `out` from `at` on; the bytes that it takes there."""
        out, data_at = self.out, address_of(data) + begin
        used = self.libdeflate.libdeflate_deflate_compress(self.compressor, data_at, end - begin, self.out_at + at,
                                                           len(out) - at - 8)
        last_bit, free_bits = 0, self.free_bits(at, used)
        if free_bits is None:
            last_bit, free_bits = self.inflated(data_at, end - begin, at, used)
        if free_bits is None:
            plain = self.zlib(data, begin, end)
            out[at:at + len(plain)] = plain
            return len(plain)
        out[at + (last_bit >> 3)] &= ~(1 << (last_bit & 7))
        # The three bits of the empty block's head fit into the last byte, or take another one.
        tail = SYNC if free_bits >= 3 else b'\0' + SYNC
        out[at + used:at + used + len(tail)] = tail
        return used + len(tail)

    def free_bits(self, at, used):
        """How many bits the end of a single block leaves free in the last byte; None where the stream is no
        single block, or that is not found.

        The block ends with its code for "end of block" and zero bits up to the byte. Whoever knows where the
        code's last 1 is knows where it ends, and it is the stream's last 1, so there is one place only where
        the code stands before nothing but zeros. (It has a 1: it is used once a block, so that no symbol's code
        is longer, and of codes of one length the literals' come first.) To find it, zlib reads the block's
        codes, then the stream's last bytes from anywhere: whatever it takes the first ones for, if it ends
        with "end of block" before nothing but zeros, it is that place."""
        if used <= self.TAIL_BYTES or self.out[at] & 7 != self.SINGLE_DYNAMIC:
            return None
        stream = self.stream
        self.libz.inflateReset(self.reference)
        self.libz.inflateSetDictionary(self.reference, ZERO_BLOCK, 1 << zlib.MAX_WBITS)  # for any distance
        stream.give(self.out_at + at, used, self.plain_at, len(self.plain))
        if self.libz.inflate(self.reference, Z_TREES) != Z_OK or stream.avail_in < self.TAIL_BYTES:
            return None
        stream.next_in, stream.avail_in = self.out_at + at + used - self.TAIL_BYTES, self.TAIL_BYTES
        ended = self.libz.inflate(self.reference, Z_BLOCK) == Z_OK and stream.data_type & self.AT_BLOCK
        free_bits = stream.data_type & 7
        if not ended or stream.avail_in or self.out[at + used - 1] >> 8 - free_bits:
            return None
        return free_bits

    def inflated(self, data_at, size, at, used):
        """(bit at which the last block begins, bits that are free in the last byte), or Nones where that does not
        give back the data."""
        stream = self.stream
        self.libz.inflateReset(self.reference)
        stream.give(self.out_at + at, used, self.plain_at, size)
        begin = 0
        while used and self.libz.inflate(self.reference, Z_BLOCK) == Z_OK:
            free_bits = stream.data_type & 7
            if not stream.data_type & self.AT_BLOCK:
                break
            if stream.data_type & self.LAST_BLOCK:
                whole = stream.avail_in == 0 and stream.avail_out == 0
                if whole and not self.libc.memcmp(data_at, self.plain_at, size):
                    return begin, free_bits
                break
            begin = (used - stream.avail_in) * 8 - free_bits
        return None, None
