"""Writes small VHD files as XenServer has them: dynamic bases and differencing children."""
import struct
import uuid

BLOCK_BYTES = 2 << 20
FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4


def with_checksum(block, at):
    block[at:at + 4] = b'\0\0\0\0'
    block[at:at + 4] = struct.pack('>I', ~sum(block) & 0xffffffff)
    return bytes(block)


def footer(kind, virtual_bytes, disk_uuid, hidden=False, created=700000000, geometry=0x00100411):
    block = bytearray(512)
    data_offset = 0xffffffffffffffff if kind == FIXED else 512
    struct.pack_into('>8sIIQI4sI4sQQIII', block, 0, b'conectix', 2, 0x10000, data_offset, created, b'tap\0', 0x10003,
                     b'\0\0\0\0', virtual_bytes, virtual_bytes, geometry, kind, 0)
    block[68:84] = disk_uuid.bytes
    block[85:86] = b'\x01' if hidden else b'\0'
    return with_checksum(block, 64)


def header(entries, parent_uuid, parent_name):
    block = bytearray(1024)
    struct.pack_into('>8sQQIII', block, 0, b'cxsparse', 0xffffffffffffffff, 1536, 0x10000, entries, BLOCK_BYTES)
    if parent_uuid:
        block[40:56] = parent_uuid.bytes
        name = parent_name.encode('utf-16-be')
        block[64:64 + len(name)] = name
    return with_checksum(block, 36)


def write_vhd(path, blocks, parent_uuid=None, parent_name=u'', virtual_blocks=256, hidden=False, disk_uuid=None,
              **footer_fields):
    """Write the blocks {index: bytes, holes after them} as one file; returns the UUID in its footer."""
    disk_uuid = disk_uuid or uuid.uuid4()
    kind = DIFFERENCING if parent_uuid else DYNAMIC
    end = footer(kind, virtual_blocks * BLOCK_BYTES, disk_uuid, hidden, **footer_fields)
    table_bytes = -(-virtual_blocks * 4 // 512) * 512
    table = [0xffffffff] * (table_bytes // 4)
    sector = (1536 + table_bytes) // 512
    for index in sorted(blocks):
        table[index] = sector
        sector += 1 + BLOCK_BYTES // 512
    with open(path, 'wb') as out:
        out.write(end + header(virtual_blocks, parent_uuid, parent_name))
        out.write(struct.pack('>%dI' % len(table), *table))
        for index in sorted(blocks):
            out.seek(table[index] * 512)
            out.write(b'\xff' * (-(-len(blocks[index]) // 4096)))  # a bit for each sector
            out.seek((table[index] + 1) * 512)
            out.write(blocks[index])
        out.seek(sector * 512)
        out.write(end)
    return disk_uuid


def flat_vhd(blocks, virtual_blocks=256):
    """The VHD that xapi's export streams, as bytes: a sector between header and BAT, and whole bitmaps."""
    end = footer(DYNAMIC, virtual_blocks * BLOCK_BYTES, uuid.uuid4())
    head = bytearray(header(virtual_blocks, None, u''))
    struct.pack_into('>Q', head, 16, 2048)
    table_bytes = -(-virtual_blocks * 4 // 512) * 512
    table = [0xffffffff] * (table_bytes // 4)
    for place, index in enumerate(sorted(blocks)):
        table[index] = (2048 + table_bytes + place * (512 + BLOCK_BYTES)) // 512
    parts = [end, with_checksum(head, 36), b'\0' * 512, struct.pack('>%dI' % len(table), *table)]
    for index in sorted(blocks):
        parts += [b'\xff' * 512, blocks[index].ljust(BLOCK_BYTES, b'\0')]
    return b''.join(parts + [end])


def spoil(path, offset):
    """Flip one byte, counted from the end when negative."""
    with open(path, 'r+b') as handle:
        handle.seek(offset, 2 if offset < 0 else 0)
        byte = bytearray(handle.read(1))
        byte[0] ^= 0xff
        handle.seek(-1, 1)
        handle.write(byte)
