"""Raw deflate of whole chunks, by the best engine that the host has."""
import zlib

from .chunk import CHUNK_BYTES
from .deflate import BLOCK_BYTES, ZERO_BLOCK, ZlibModule, part_of, samples_look_random, spread_looks_random, stored
from .deflate import zeros_deflated
from .libdeflate import Libdeflate
from .libz import Libz


class Deflater(object):
    """Deflates chunks in one thread, each for itself: what comes out depends on the chunk, the level and
    the library alone."""

    ZERO, RANDOM, OTHER = 'zero', 'random', 'other'

    def __init__(self, level, libraries):
        self.data = bytearray(CHUNK_BYTES)
        if libraries and libraries.libdeflate:
            self.engine = Libdeflate(libraries, level)
        else:
            self.engine = Libz(libraries, level) if libraries else ZlibModule(level)

    def close(self):
        self.engine.close()

    def __call__(self, size, fill):
        """(deflated, crc) of the bytes that `fill` puts into a view of that size; it returns true when they are
        zeros, and then need not put them there."""
        view = memoryview(self.data)[:size]
        if fill(view):
            if size % BLOCK_BYTES == 0:
                return zeros_deflated(size)
            view[:] = b'\0' * size
        runs = self.runs(size)
        if runs == [(self.ZERO, 0, size)]:
            return zeros_deflated(size)
        deflated = b''.join(part for run in runs for part in self.deflate(*run))
        return deflated, zlib.crc32(part_of(self.data, 0, size)) & 0xffffffff

    def runs(self, size):
        """[(kind, begin, end)], by blocks."""
        runs = []
        for begin in range(0, size, BLOCK_BYTES):
            end = min(begin + BLOCK_BYTES, size)
            kind = self.kind(begin, end, bool(runs) and runs[-1][0] == self.RANDOM)
            if runs and runs[-1][0] == kind:
                begin = runs.pop()[1]
            runs.append((kind, begin, end))
        return runs

    def kind(self, begin, end, after_random):
        """`startswith` is a memcmp; to compare memoryviews is a loop over single bytes."""
        if end - begin < BLOCK_BYTES:
            return self.OTHER
        if self.data.startswith(ZERO_BLOCK, begin):
            return self.ZERO
        if spread_looks_random(self.data, begin) and (after_random or samples_look_random(self.data, begin, end)):
            return self.RANDOM
        return self.OTHER

    def deflate(self, kind, begin, end):
        """Parts to be joined."""
        if kind == self.ZERO:
            return [zeros_deflated(end - begin)[0]]
        if kind == self.OTHER:
            deflated = self.engine(self.data, begin, end)
            if len(deflated) < end - begin:
                return [deflated]
        return stored(self.data, begin, end)
