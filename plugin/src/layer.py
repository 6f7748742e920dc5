"""A VHD of an image, read as it comes, once, from its beginning to its end.

The rules are those of `xensnap unpack` (bin/unpack/vhd.ts): footer's copy, header, BAT and blocks follow each other.
"""
import array
import binascii
import struct

from .damage import damaged, must
from .pythons import steps
from .vhd_structures import Footer, MAP_PIECE_BYTES, MAX_MAP_ENTRIES, MAX_VHD_BYTES, UNUSED, VHD_DIFFERENCING, VHD_DYNAMIC
from .vhd_structures import VHD_FIXED, has_checksum, is_footer, not_hidden

USUAL_BLOCK_BYTES = 1 << 21
BLOCK_SIZES = frozenset(1 << power for power in range(19, 25))
# Nobody needs so much beside its blocks, nor between them: without such a limit a file of a few bytes, inflated, has no end.
SPARE_BYTES = 32 << 20
SPARE_BLOCK_BYTES = 8192


def open_layer(reader, name, size):
    """The VHD that begins here, of which the head has been read: `name`, `size`, `uuid` and `parent_uuid`, `virtual_bytes`,
    `block_bytes`, `fixed`, and `blocks`."""
    must(size >= 512 and size % 512 == 0, '%d bytes are no VHD', size)
    first = reader.read(512)
    footer = read_footer(first)
    if footer and footer.kind != VHD_FIXED:
        return SparseLayer(reader, name, size, first, footer)
    return FixedLayer(reader, name, size, first)


def read_footer(block):
    """None where there is no footer, or a damaged one."""
    if not is_footer(block):
        return None
    footer = Footer(block)
    must(footer.kind in (VHD_FIXED, VHD_DYNAMIC, VHD_DIFFERENCING), 'its type, %d, is not that of a disk', footer.kind)
    must(0 < footer.virtual_bytes <= MAX_VHD_BYTES and footer.virtual_bytes % 512 == 0, 'a disk cannot have %d bytes',
         footer.virtual_bytes)
    return footer


def uuid_text(raw):
    digits = binascii.hexlify(raw).decode('ascii')
    return '-'.join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class SparseLayer(object):
    """A dynamic or differencing VHD."""

    fixed = False

    def __init__(self, reader, name, size, first, footer):
        self.reader, self.name, self.size, self.first = reader, name, size, first
        self.start = reader.position - 512
        self.uuid, self.virtual_bytes = uuid_text(footer.uuid), footer.virtual_bytes
        at = footer.header_at
        must(at % 512 == 0 and 512 <= at <= size - 1024, 'its header is not in it')
        self.go_to(at)
        self.read_header(reader.read(1024), at, footer.kind)

    def go_to(self, offset):
        self.reader.skip(self.start + offset - self.reader.position)

    def read_header(self, header, at, kind):
        must(header.startswith(b'cxsparse') and has_checksum(header, 36), 'its header is damaged')
        following, map_at, version, entries, self.block_bytes = struct.unpack('>QQIII', header[8:36])
        must(version == 0x10000 and following == (1 << 64) - 1, 'its header is of another version')
        must(self.block_bytes in BLOCK_SIZES, 'its blocks have a wrong size, %d', self.block_bytes)
        used = -(-self.virtual_bytes // self.block_bytes)
        must(used <= entries and used <= MAX_MAP_ENTRIES, 'its BAT has a wrong length')
        must(map_at % 512 == 0 and map_at >= at + 1024, 'its BAT is not behind its header')
        self.map_end = map_at + 4 * entries
        must(self.map_end <= self.size - 512, 'its BAT reaches beyond its end')
        self.parent_uuid = uuid_text(header[40:56]) if kind == VHD_DIFFERENCING else None
        must(self.parent_uuid is None or header[40:56].strip(b'\0'), 'its parent is a raw disk, and no VHD')
        self.bitmap_bytes = -(-self.block_bytes // 512 // 8 // 512) * 512
        self.stride = self.bitmap_bytes + self.block_bytes
        must(self.size <= SPARE_BYTES + self.map_end - map_at + used * (self.stride + SPARE_BLOCK_BYTES),
             '%d bytes are far too much for a disk of %d', self.size, self.virtual_bytes)
        self.go_to(map_at)
        self.table = self.reader.read_long(4 * used)

    def blocks(self, _block_bytes=None):
        """(number, length, bitmap) of each block, as they stand in the file: the reader is at its data then. After the
        last one, the footer is looked at."""
        before = -(-self.map_end // 512)
        for place in self.in_order():
            if place:
                begin, = struct.unpack('>I', bytes(self.table[4 * place - 4:4 * place]))
                must(begin >= before, 'block %d overlaps what is before it', place - 1)
                before = begin + self.stride // 512
                self.go_to(begin * 512)
                yield place - 1, self.block_bytes, self.reader.read(self.bitmap_bytes)[:self.block_bytes // 512 // 8]
        self.table = None
        self.go_to(self.size - 512)
        must(not_hidden(self.reader.read(512)) == not_hidden(self.first), 'its footer is not the one that it begins with')

    def in_order(self):
        """1 + the numbers of the blocks as they follow each other, and some zeros. In a stretch as long as a block only one
        can begin, so nothing needs to be sorted, which would take a hundred bytes for each of a million."""
        stride, low = self.stride // 512, -(-self.map_end // 512)
        high = (self.size - 512 - self.stride) // 512
        places = array.array('I')
        for offset in steps(len(self.table), MAP_PIECE_BYTES):
            piece = bytes(self.table[offset:offset + MAP_PIECE_BYTES])
            if piece.count(b'\xff') == len(piece):
                continue
            for number, begin in enumerate(struct.unpack('>%dI' % (len(piece) // 4), piece), offset // 4 + 1):
                if begin == UNUSED:
                    continue
                must(low <= begin <= high, 'block %d is not in it (sector %d)', number - 1, begin)
                places = places or array.array('I', [0]) * (min(high, UNUSED) // stride + 1)
                must(not places[begin // stride], 'block %d overlaps another', number - 1)
                places[begin // stride] = number
        return places


class FixedLayer(object):
    """All of it is the disk, but for the footer at its end, which alone tells that it is one."""

    fixed = True
    uuid = parent_uuid = None  # the former not before all of it has been read
    block_bytes = USUAL_BLOCK_BYTES

    def __init__(self, reader, name, size, first):
        self.reader, self.name, self.size, self.first = reader, name, size, first
        self.virtual_bytes = size - 512

    def blocks(self, block_bytes):
        """As SparseLayer's, in blocks of that size: the last may be shorter."""
        must(self.virtual_bytes <= MAX_VHD_BYTES, 'a disk cannot have %d bytes', self.virtual_bytes)
        reader = self.reader
        if self.virtual_bytes:
            reader.give_back(self.first)
        start = reader.position
        for number, offset in enumerate(steps(self.virtual_bytes, block_bytes)):
            yield number, min(block_bytes, self.virtual_bytes - offset), None
            reader.skip(start + min(offset + block_bytes, self.virtual_bytes) - reader.position)
        last = reader.read(512) if self.virtual_bytes else self.first
        footer = read_footer(last)
        if not footer:
            raise damaged('it is no VHD: it neither begins nor ends with a footer')
        must(footer.kind == VHD_FIXED, 'the copy of its footer is damaged')
        must(footer.virtual_bytes == self.virtual_bytes, 'a fixed VHD must be as long as its disk and the footer')
        self.uuid = uuid_text(footer.uuid)
