"""Images as they come from Glance, and the disks that they hold."""
import binascii
import io
import os
import random
import shutil
import struct
import subprocess
import tarfile
import tempfile
import uuid
import zlib

from vhd_files import BLOCK_BYTES, DIFFERENCING, DYNAMIC, FIXED, footer, header, with_checksum


class Layer(object):
    """`blocks` are {number: {sector: bytes from there on}}."""

    def __init__(self, blocks, virtual_blocks=8, disk_uuid=None, virtual_bytes=None, block_bytes=BLOCK_BYTES):
        self.blocks, self.block_bytes = blocks, block_bytes
        self.virtual_bytes = virtual_bytes or virtual_blocks * block_bytes
        self.uuid = disk_uuid or uuid.uuid4()

    def vhd(self, parent=None, order=None):
        """Its file, in whose order of blocks it is as `order` says."""
        entries = -(-self.virtual_bytes // self.block_bytes)
        end = footer(DIFFERENCING if parent else DYNAMIC, self.virtual_bytes, self.uuid)
        table_bytes = -(-entries * 4 // 512) * 512
        table = [0xffffffff] * (table_bytes // 4)
        sector, parts = (1536 + table_bytes) // 512, []
        for number in order or sorted(self.blocks):
            table[number] = sector
            sector += 1 + self.block_bytes // 512
            parts += list(self.block(number))
        head = bytearray(header(entries, parent and parent.uuid, u'x.vhd'))
        struct.pack_into('>I', head, 32, self.block_bytes)
        return b''.join([end, with_checksum(head, 36), struct.pack('>%dI' % len(table), *table)]
                        + parts + [end])

    def block(self, number):
        """(bitmap, data)"""
        bits, data = bytearray(512), bytearray(self.block_bytes)
        for first, content in self.blocks[number].items():
            for sector in range(first, first + len(content) // 512):
                bits[sector >> 3] |= 0x80 >> (sector & 7)
            data[first * 512:first * 512 + len(content)] = content
        return bytes(bits), bytes(data)


def disk_of(layers):
    """What a chain holds, leaf first: an example that is slow and plain."""
    disk = bytearray(layers[0].virtual_bytes)
    settled, end = set(), layers[0].virtual_bytes
    for layer in layers:
        end = min(end, layer.virtual_bytes)
        for number, runs in layer.blocks.items():
            for first, content in runs.items():
                for at in range(0, len(content), 512):
                    sector = number * layer.block_bytes // 512 + first + at // 512
                    if sector * 512 < end and sector not in settled:
                        settled.add(sector)
                        disk[sector * 512:sector * 512 + 512] = content[at:at + 512]
    return bytes(disk)


def some_layers(seed, count, virtual_blocks=8, block_bytes=BLOCK_BYTES):
    """A chain with whole blocks, parts of blocks, zeros that cover something, and blocks that are not there."""
    rng = random.Random(seed)
    layers = []
    for _ in range(count):
        blocks = {}
        for number in rng.sample(range(virtual_blocks), rng.randint(1, virtual_blocks - 1)):
            kind = rng.choice(('whole', 'zeros', 'parts', 'parts', 'text'))
            if kind == 'parts':
                blocks[number] = {}
                for first in sorted(rng.sample(range(0, block_bytes // 512, 16), rng.randint(1, 40))):
                    size = 512 * rng.randint(1, 15)
                    blocks[number][first] = b'\0' * size if rng.random() < 0.3 else noise(rng, size)
            else:
                blocks[number] = {0: {'whole': lambda: noise(rng, block_bytes), 'zeros': lambda: b'\0' * block_bytes,
                                      'text': lambda: (noise(rng, 997) * (block_bytes // 997 + 1))[:block_bytes]}[kind]()}
        disk_uuid = uuid.UUID(int=rng.getrandbits(128))
        layers.append(Layer(blocks, virtual_blocks, disk_uuid, block_bytes=block_bytes))
    return layers


def noise(rng, size):
    return binascii.unhexlify(('%0*x' % (2 * size, rng.getrandbits(8 * size))).encode('ascii'))


def vhds_of(layers):
    return [layer.vhd(parent) for layer, parent in zip(layers, layers[1:] + [None])]


def fixed_vhd(data, disk_uuid=None):
    return data + footer(FIXED, len(data), disk_uuid or uuid.uuid4())


def tar_of(files, **options):
    """Of (name, bytes), by Python's tarfile."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w', **options) as bundle:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return out.getvalue()


def real_tar(files, *options):
    """By the machine's own tar, as Nova's hosts called it; without names in `options`, the whole folder."""
    folder = tempfile.mkdtemp(prefix='xensnap-tar-')
    try:
        for name, data in files:
            with io.open(os.path.join(folder, name), 'wb') as out:
                out.write(data)
        return subprocess.check_output(['tar', '-C', folder, '-cf', '-'] + list(options or ('.',)))
    finally:
        shutil.rmtree(folder)


def gzipped(data, level=1, members=1):
    out, step = [], -(-len(data) // members) or 1
    for at in range(0, len(data) or 1, step):
        deflate = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        out.append(deflate.compress(data[at:at + step]) + deflate.flush())
    return b''.join(out)


def bundle_of(layers, **options):
    return gzipped(tar_of([('%d.vhd' % number, vhd) for number, vhd in enumerate(vhds_of(layers))]), **options)
