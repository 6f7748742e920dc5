"""What sm's coalescer does to the VHD files of an SR, step by step, and what the disk of a chain holds."""
import io
import os
import struct

from vhd_files import BLOCK_BYTES, with_checksum

STRIDE = 512 + BLOCK_BYTES


def read_at(path, offset, length):
    with io.open(path, 'rb') as handle:
        handle.seek(offset)
        return handle.read(length)


def write_at(path, offset, data):
    with io.open(path, 'r+b') as handle:
        handle.seek(offset)
        handle.write(data)


def table_of(data):
    entries, = struct.unpack('>I', data[512 + 28:512 + 32])
    return struct.unpack('>%dI' % entries, data[1536:1536 + 4 * entries])


def blocks_of(data):
    """{number: (bitmap, block)} of a VHD's bytes."""
    return dict((number, (data[sector * 512:sector * 512 + 512], data[sector * 512 + 512:sector * 512 + STRIDE]))
                for number, sector in enumerate(table_of(data)) if sector != 0xffffffff)


def disk_of(layers):
    """{number: block} of a chain's files, from the leaf to the base; sectors that none has are zeros."""
    disk = {}
    for data in reversed(layers):
        for number, (bitmap, block) in blocks_of(data).items():
            below = bytearray(disk.get(number, b'\0' * BLOCK_BYTES))
            for at in range(0, 512):  # each byte of the bitmap is eight sectors; ours are all or none
                if bitmap[at:at + 1] == b'\xff':
                    below[at * 4096:at * 4096 + 4096] = block[at * 4096:at * 4096 + 4096]
            disk[number] = bytes(below)
    return dict((number, block) for number, block in disk.items() if block.strip(b'\0'))


def kill_footer(path):
    """As tapdisk does when it opens a disk to write, and the coalescer's first new block does."""
    write_at(path, os.path.getsize(path) - 512, b'\xc7' * 512)


def write_footers(path, footer, at):
    """At the end first, then the copy, as libvhd does."""
    with io.open(path, 'r+b') as handle:
        handle.seek(at)
        handle.write(footer)
        handle.truncate(at + 512)
    write_at(path, 0, footer)


def set_hidden(path, hidden):
    footer = bytearray(read_at(path, 0, 512))
    footer[85:86] = b'\x01' if hidden else b'\0'
    write_footers(path, with_checksum(footer, 64), os.path.getsize(path) - 512)


def relink(child, parent):
    """vhd-util modify -p: the child's header names another parent."""
    head = bytearray(read_at(child, 512, 1024))
    head[40:56] = read_at(parent, 68, 16)
    name = os.path.basename(parent).encode('utf-16-be')
    head[64:576] = name.ljust(512, b'\0')
    write_at(child, 512, with_checksum(head, 36))


def merge(child, parent):
    """vhd-util coalesce, a generator that stands still between its writes: data first, then bitmap and BAT; a new block
    takes the footer's place, and the footer comes back in the end."""
    footer = read_at(parent, 0, 512)
    for number, (bitmap, block) in sorted(blocks_of(read_at(child, 0, 1 << 30)).items()):
        sector = table_of(read_at(parent, 0, 1 << 30))[number]
        if sector == 0xffffffff:
            sector = os.path.getsize(parent) // 512 - 1
            write_at(parent, sector * 512, b'\0' * 512)
            yield 'no footer'
            write_at(parent, 1536 + 4 * number, struct.pack('>I', sector))
            yield 'a block beyond the end'
            with io.open(parent, 'r+b') as handle:
                handle.truncate(sector * 512 + STRIDE)
            end = sector * 512 + STRIDE
        else:
            end = os.path.getsize(parent) - 512
        had = read_at(parent, sector * 512, 512)
        for at in range(512):
            if bitmap[at:at + 1] == b'\xff':
                write_at(parent, sector * 512 + 512 + at * 4096, block[at * 4096:at * 4096 + 4096])
        yield 'data'
        both = bytes(bytearray(one | other for one, other in zip(bytearray(had), bytearray(bitmap))))
        write_at(parent, sector * 512, both)
        yield 'bitmap'
        write_footers(parent, footer, end)
        yield 'footer'


def coalesce(sr_path, child, middle, base):
    """cleanup.py _coalesce: `middle` is merged into `base`, its child relinked, and it is deleted."""
    def path(name):
        return os.path.join(sr_path, name + '.vhd')

    with journal(sr_path, 'coalesce', middle, '1'):
        yield 'journal'
        for step in merge(path(middle), path(base)):
            yield step
    with journal(sr_path, 'relink', middle, '1'):
        yield 'journal'
        relink(path(child), path(base))
        yield 'relinked'
    os.unlink(path(middle))
    yield 'deleted'


def coalesce_leaf(sr_path, leaf, parent):
    """cleanup.py _doCoalesceLeaf: the parent takes the leaf's data, then its name."""
    leaf_path, parent_path = os.path.join(sr_path, leaf + '.vhd'), os.path.join(sr_path, parent + '.vhd')
    old = os.path.join(sr_path, 'OLD_%s.vhd' % leaf)
    with journal(sr_path, 'leaf', leaf, parent):
        yield 'journal'
        set_hidden(parent_path, False)
        yield 'shown'
        for step in merge(leaf_path, parent_path):
            yield step
        os.rename(leaf_path, old)
        yield 'one renamed'
        os.rename(parent_path, leaf_path)
        yield 'both renamed'
        set_hidden(old, True)
        yield 'hidden'
    os.unlink(old)
    yield 'deleted'


class journal(object):
    """fjournaler.py: a file <kind>_<uuid> that holds a value."""

    def __init__(self, sr_path, kind, uuid, value):
        self.path, self.value = os.path.join(sr_path, '%s_%s' % (kind, uuid)), value

    def __enter__(self):
        with io.open(self.path, 'w') as out:
            out.write(u'%s' % self.value)

    def __exit__(self, *_exc):
        os.unlink(self.path)
