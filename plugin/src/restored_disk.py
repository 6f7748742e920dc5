"""A disk that layers of a chain are put into, the topmost first: each sector is written once."""
import binascii

from .damage import must
from .deflate import BLOCK_BYTES, ZERO_BLOCK
from .errors import PluginError
from .pythons import steps
from .settled import Settled

SKIP_ZEROS, MAKE_ZEROS, WRITE_ZEROS = 'skip', 'make', 'write'


def is_zero(data, begin, end):
    """`startswith` is a memcmp, which mostly ends at once."""
    size = end - begin
    return data.startswith(ZERO_BLOCK if size == BLOCK_BYTES else ZERO_BLOCK[:size], begin)


class RestoredDisk(object):
    """`zeros` says what becomes of sectors that are zero: SKIP_ZEROS where the disk reads as zeros wherever nobody has
    written, MAKE_ZEROS where it did once, but somebody may have written since, else WRITE_ZEROS."""

    def __init__(self, writer, zeros):
        self.writer, self.zeros = writer, zeros
        self.wrote = False
        self.settled = None

    def begin(self, virtual_bytes, block_bytes):
        """For a leaf of this size. Whatever an earlier one has written is no more than rubbish."""
        require_room(virtual_bytes, self.writer.size)
        if self.wrote and self.zeros == SKIP_ZEROS:
            self.zeros = MAKE_ZEROS
        self.writer.hand_over()  # else it would be written over what is made zero
        self.close()
        self.block_bytes, self.virtual_bytes = block_bytes, virtual_bytes
        self.end = virtual_bytes  # behind it is zero, whatever the next layers hold
        self.settled = Settled(-(-virtual_bytes // block_bytes), block_bytes // 512)

    def close(self):
        if self.settled:
            self.settled.close()

    def take(self, layer, reader):
        """The next layer. Disks grow: behind the end of a parent its child reads zeros, although the parent's last block may
        hold something there, and although its parent may be longer (blktap: drivers/tapdisk-vbd.c)."""
        must(layer.fixed or layer.block_bytes == self.block_bytes, 'its blocks have another size than those of its leaf')
        self.end = min(self.end, layer.virtual_bytes)
        for number, length, bitmap in layer.blocks(self.block_bytes):
            begin = number * self.block_bytes
            if begin < self.end:
                self.settle(reader, number, min(length, self.end - begin) // 512, bitmap)

    def settle(self, reader, number, count, bitmap):
        """A block of which the first `count` sectors count; those with a bit are there, or all without a bitmap."""
        had, begin, total = self.settled.mask(number), number * self.block_bytes, self.block_bytes // 512
        new = self.settled.all
        if bitmap is not None and bitmap.count(b'\xff') != len(bitmap):
            new = int(binascii.hexlify(bitmap), 16)
        new &= ~had & ~((1 << total - count) - 1)
        if not new:
            return
        at = 0
        for first, last in runs(new, total):
            reader.skip((first - at) * 512)
            self.copy(reader, begin + first * 512, (last - first) * 512)
            at = last
        self.settled.settle(number, had | new)

    def copy(self, reader, offset, length):
        for data, begin, end in reader.parts(length):
            self.put(offset, data, begin, end)
            offset += end - begin

    def put(self, offset, data, begin, end):
        """data[begin:end], less what is zero in stretches of 64 KiB."""
        if self.zeros == WRITE_ZEROS:
            self.writer.write(offset, data, begin, end)
            return
        start = at = begin
        while at < end:
            stop = min(end, at + BLOCK_BYTES - (offset + at - begin) % BLOCK_BYTES)
            # Pieces of the stream end where they end; what is written must not begin inside a sector.
            if not (offset + at - begin | stop - at) % 512 and is_zero(data, at, stop):
                self.write(offset + start - begin, data, start, at)
                if self.zeros == MAKE_ZEROS:
                    self.writer.make_zero(offset + at - begin, stop - at)
                start = stop
            at = stop
        self.write(offset + start - begin, data, start, end)

    def write(self, offset, data, begin, end):
        if begin < end:
            self.wrote = True
            self.writer.write(offset, data, begin, end)

    def fill(self):
        """What no layer has, up to the disk's own end, is made zero."""
        if self.zeros == SKIP_ZEROS:
            return
        if self.settled:
            self.fill_blocks()
        self.fill_from(self.virtual_bytes, self.writer.size)

    def fill_blocks(self):
        total, end = self.block_bytes // 512, self.virtual_bytes
        for number, begin in enumerate(steps(end, self.block_bytes)):
            free = self.settled.all & ~self.settled.mask(number)
            for first, last in runs(free, total) if free else ():
                self.fill_from(begin + first * 512, min(begin + last * 512, end))

    def fill_from(self, begin, end):
        if begin < end:
            (self.writer.make_zero if self.zeros == MAKE_ZEROS else self.writer.write_zeros)(begin, end - begin)

    def take_raw(self, reader, size):
        """A disk that comes as it is."""
        require_room(size, self.writer.size)
        offset = 0
        for data, begin, end in reader.remaining():
            self.put(offset, data, begin, end)
            offset += end - begin
        self.virtual_bytes = size


def require_room(virtual_bytes, disk_bytes):
    if virtual_bytes > disk_bytes:
        raise PluginError('VDI_TOO_SMALL', 'the image\'s disk has %d bytes, and the disk that it should go into %d'
                          % (virtual_bytes, disk_bytes))


def runs(mask, sectors):
    """(first, last + 1) of the sectors that follow each other in a block's mask."""
    text = bin(mask)[2:].rjust(sectors, '0')
    end = 0
    while True:
        begin = text.find('1', end)
        if begin < 0:
            return
        end = text.find('0', begin)
        end = sectors if end < 0 else end
        yield begin, end
