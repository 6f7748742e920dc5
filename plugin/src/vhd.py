"""One VHD file, and whether it can be read again."""
import array
import os
import struct

from .errors import PluginError
from .pythons import steps
from .texts import without_start
from .vhd_structures import BLOCK_SECTORS, BLOCK_STRIDE, Footer, MAP_PIECE_BYTES, MAX_MAP_ENTRIES, MAX_VHD_BYTES, UNUSED
from .vhd_structures import VHD_DIFFERENCING, VHD_DYNAMIC, VHD_FIXED, has_checksum, is_footer, not_hidden

PLATFORM_CODES = (b'W2ru', b'W2ku', b'MacX')  # of parent locators that libvhd follows


class XapiMayRead(PluginError):
    """What we cannot bundle as files, but xapi, which reads through tapdisk, perhaps can."""


class Vhd(object):
    """One VHD of a chain, by an open file: all that must be right for it to be read again, blocks' bitmaps and data
    aside. `size` is the file's."""

    def __init__(self, handle, name, size):
        self.handle = handle
        self.name = name
        self.end = size - 512
        copy = self.read(0, 512)
        end = self.read(max(self.end, 0), 512)
        if size < 512 or size % 512 or not is_footer(end):
            if is_footer(copy) and Footer(copy).kind != VHD_FIXED:
                raise PluginError('CHAIN_CHANGED', '%s is being written: it has no footer at its end (the coalescer '
                                  'and tapdisk put it back when they are done)' % name, True)
            self.refuse('there is no footer at its end, nor a good copy at its beginning')
        self.footer = footer = Footer(end)
        self.uuid, self.hidden, self.virtual_bytes = footer.uuid, footer.hidden, footer.virtual_bytes
        self.parent_uuid = None
        self.parent_name = ''
        if footer.kind == VHD_FIXED:
            self.not_supported('it is a fixed VHD')
        if footer.kind not in (VHD_DYNAMIC, VHD_DIFFERENCING):
            self.refuse('disk type %d is unknown' % footer.kind)
        if not is_footer(copy):
            self.odd('the copy of the footer at its beginning is damaged')
        if not_hidden(copy) != not_hidden(end):
            self.odd('its footer is not the copy that it begins with')
        if not 0 < self.virtual_bytes <= MAX_VHD_BYTES or self.virtual_bytes % 512:
            self.odd('a disk of %d bytes cannot be' % self.virtual_bytes)
        self.read_header(footer.header_at)

    def read(self, offset, length):
        self.handle.seek(offset)
        data = b''
        while len(data) < length:
            piece = self.handle.read(length - len(data))
            if not piece:
                break
            data += piece
        return data

    def refuse(self, why):
        raise PluginError('VHD_INVALID', '%s: %s' % (self.name, why))

    def shrank(self):
        return PluginError('CHAIN_CHANGED', '%s shrank while it was read' % self.name, True)

    def odd(self, why):
        raise XapiMayRead('VHD_INVALID', '%s: %s' % (self.name, why))

    def not_supported(self, why):
        raise XapiMayRead('FORMAT_NOT_SUPPORTED', '%s: %s; only dynamic and differencing VHDs with blocks of 2 MiB can '
                          'be bundled' % (self.name, why))

    def read_header(self, at):
        header = self.read(at, 1024) if at % 512 == 0 and 512 <= at <= self.end - 1024 else b''
        if not header.startswith(b'cxsparse'):
            self.refuse('no header at byte %d' % at)
        if len(header) < 1024:
            raise self.shrank()
        if not has_checksum(header, 36):
            self.refuse('the checksum of the header is wrong')
        if header[8:16] != b'\xff' * 8:
            self.refuse('its header names a next one, which no version has')
        map_at, version, entries, block_bytes = struct.unpack('>QIII', header[16:36])
        if version != 0x10000:
            self.refuse('its header has the version %#x' % version)
        if block_bytes != BLOCK_SECTORS * 512:
            self.not_supported('its blocks have %d bytes' % block_bytes)
        used = -(-self.virtual_bytes // block_bytes)
        if not used <= entries <= MAX_MAP_ENTRIES:
            self.odd('its BAT has %d entries, and its disk needs %d' % (entries, used))
        if map_at % 512 or not at + 1024 <= map_at <= self.end - 4 * entries:
            self.odd('its BAT cannot be at byte %d' % map_at)
        places = [(0, 512), (at, at + 1024), (map_at, map_at + 4 * entries)]
        if self.footer.kind == VHD_DIFFERENCING:
            self.parent_uuid = header[40:56]
            self.parent_name = header[64:576].decode('utf-16-be', 'replace').split(u'\0')[0]
            self.locators = list(self.read_locators(header))
            places += [(begin, end) for _code, begin, end, _length in self.locators if end > begin]
            if self.parent_uuid == b'\0' * 16:
                self.not_supported('its parent is a raw disk')
        places.sort()
        if any(begin < before for (_, before), (begin, _) in zip(places, places[1:])) or places[-1][1] > self.end:
            self.odd('its header, BAT and parent locators overlap, or are not in it')
        self.walk_map(map_at, used, places[-1][1])

    def read_locators(self, header):
        """(code, begin, end, length of the name). The space is in sectors, or, by habit, in bytes (libvhd.h)."""
        for offset in range(576, 576 + 8 * 24, 24):
            code, space, length, _, at = struct.unpack('>4sIIIQ', header[offset:offset + 24])
            if code != b'\0\0\0\0':
                yield code, at, at + (space * 512 if space < 512 else space), length

    def walk_map(self, map_at, used, blocks_from):
        """Each block in the file, behind what describes it and before the footer, and no two in one place. Blocks are
        as long as each other: so in a stretch of that length one can begin, and only its neighbours are near."""
        low, high = -(-blocks_from // 512), self.end // 512 - BLOCK_STRIDE
        begins = array.array('I')
        for offset in steps(4 * used, MAP_PIECE_BYTES):
            wanted = min(MAP_PIECE_BYTES, 4 * used - offset)
            piece = self.read(map_at + offset, wanted)
            if len(piece) < wanted:
                raise self.shrank()
            if piece.count(b'\xff') == len(piece):
                continue
            entries = struct.unpack('>%dI' % (len(piece) // 4), piece)
            held = [begin for begin in entries if begin != UNUSED]
            if not held:
                continue
            if min(held) < low or max(held) > high:
                number = next(at for at, begin in enumerate(entries) if begin != UNUSED and not low <= begin <= high)
                self.odd('block %d of its BAT is not in it (sector %d)' % (offset // 4 + number, entries[number]))
            begins = begins or array.array('I', [0]) * (min(high, UNUSED) // BLOCK_STRIDE + 1)
            for begin in held:
                if begins[begin // BLOCK_STRIDE]:
                    self.odd('two blocks of its BAT overlap (sector %d)' % begin)
                begins[begin // BLOCK_STRIDE] = begin
        before = -BLOCK_STRIDE
        for begin in begins:
            if begin:
                if begin - before < BLOCK_STRIDE:
                    self.odd('two blocks of its BAT overlap (sector %d)' % begin)
                before = begin

    def parent_that_xapi_finds(self):
        """The path of a parent that is where a locator says, which is how libvhd looks for it; else None."""
        for code, begin, _end, length in self.locators:
            if code not in PLATFORM_CODES or not 0 < length <= 4096:
                continue
            raw = self.read(begin, length)
            name = raw.decode('utf-8' if code == b'MacX' else 'utf-16-le', 'replace').split(u'\0')[0]
            name = without_start(without_start(name, u'file://'), u'localhost').replace(u'\\', u'/')
            # As bytes: where xapi sets no locale, Python 3.6 takes nothing but ASCII for a path.
            path = os.path.join(os.path.dirname(self.name).encode('utf-8'), name.encode('utf-8'))
            if name and os.path.isfile(path):
                return path
        return None
