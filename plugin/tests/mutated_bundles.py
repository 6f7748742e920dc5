"""Bundles that somebody has changed, each by its seed: small chains, of which a field or some bytes are not what they were."""
import random
import struct
import tarfile
import zlib

from images import Layer, fixed_vhd, gzipped, noise, some_layers, tar_of, vhds_of
from vhd_files import with_checksum

BLOCK = 1 << 19
BLOCKS = 4
DISK_BYTES = BLOCKS * BLOCK
NUMBERS = (0, 1, 2, 511, 512, 1024, 1536, 4096, BLOCK, DISK_BYTES, DISK_BYTES + 512, 2 * DISK_BYTES, 1 << 31, (1 << 32) - 1,
           (1 << 40), 2040 << 30, (1 << 53) - 1, (1 << 63) - 1, (1 << 64) - 1)


class Bundle(object):
    """`data` is what Glance has; `sound`, whether nothing was done to it."""

    def __init__(self, seed):
        self.rng = rng = random.Random(seed)
        self.layers = some_layers(seed, rng.randint(1, 3), BLOCKS, BLOCK)
        self.vhds = [bytearray(vhd) for vhd in vhds_of(self.layers)]
        self.names = ['%d.vhd' % number for number in range(len(self.vhds))]
        if rng.random() < 0.2:
            layer = self.layers[-1]
            self.vhds[-1] = bytearray(fixed_vhd(noise(rng, rng.choice((DISK_BYTES, DISK_BYTES - 512, 512 * 3))), layer.uuid))
        self.sound = seed % 10 == 0
        if self.sound:
            self.data = gzipped(tar_of(self.members()), members=rng.randint(1, 3))
            return
        if rng.random() < 0.7:
            for _ in range(rng.randint(1, 2)):
                rng.choice(VHD_CHANGES)(self, rng.choice(self.vhds))
        else:
            rng.choice(NAME_CHANGES)(self)
        tar = bytearray(tar_of(self.members(), format=rng.choice((tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT))))
        if rng.random() < 0.3:
            rng.choice(TAR_CHANGES)(self, tar)
        data = bytearray(gzipped(bytes(tar), members=rng.randint(1, 2)))
        if rng.random() < 0.15:
            rng.choice(GZIP_CHANGES)(self, data)
        self.data = bytes(data)

    def members(self):
        return list(zip(self.names, map(bytes, self.vhds)))

    # Changes of a VHD; most put checksums right, so that it is the field that is looked at.

    def flip(self, vhd):
        at = self.rng.choice((self.rng.randrange(2560), self.rng.randrange(len(vhd) or 1), len(vhd) - 1 - self.rng.randrange(512)))
        if 0 <= at < len(vhd):
            vhd[at] ^= 1 << self.rng.randrange(8)

    def footer_field(self, vhd):
        at, form = self.rng.choice(((16, '>Q'), (48, '>Q'), (60, '>I'), (68, '>Q'), (24, '>I'), (12, '>I'), (40, '>Q')))
        self.patch(vhd, at, form, self.rng.choice((2, 3, 4) if at == 60 else NUMBERS))
        vhd[0:512] = with_checksum(vhd[0:512], 64)
        if self.rng.random() < 0.8:
            vhd[-512:] = vhd[0:512]

    def header_field(self, vhd):
        at, form = self.rng.choice(((8, '>Q'), (16, '>Q'), (24, '>I'), (28, '>I'), (32, '>I'), (40, '>Q')))
        self.patch(vhd, 512 + at, form, self.rng.choice(NUMBERS + (1 << 20, 1 << 21)))
        vhd[512:1536] = with_checksum(vhd[512:1536], 36)

    def table_entry(self, vhd):
        number = self.rng.randrange(BLOCKS)
        others = [struct.unpack_from('>I', vhd, 1536 + 4 * other)[0] for other in range(BLOCKS)] if len(vhd) > 1600 else [0]
        value = self.rng.choice(NUMBERS + tuple(others) * 4 + tuple(one + self.rng.choice((-1, 1)) for one in others))
        self.patch(vhd, 1536 + 4 * number, '>I', value)

    def swap_entries(self, vhd):
        if len(vhd) > 1600:
            one, other = self.rng.sample(range(BLOCKS), 2)
            first, second = vhd[1536 + 4 * one:1540 + 4 * one], vhd[1536 + 4 * other:1540 + 4 * other]
            vhd[1536 + 4 * one:1540 + 4 * one], vhd[1536 + 4 * other:1540 + 4 * other] = second, first

    def bitmap(self, vhd):
        begin = 2048 + self.rng.randrange(4) * (512 + BLOCK)
        for at in range(begin, min(begin + 128, len(vhd))):
            vhd[at] = self.rng.choice((0, 255, self.rng.randrange(256)))

    def parent(self, vhd):
        other = self.rng.choice(self.vhds)
        vhd[552:568] = other[68:84] if self.rng.random() < 0.7 else b'\0' * 16
        vhd[512:1536] = with_checksum(vhd[512:1536], 36)

    def cut(self, vhd):
        del vhd[self.rng.choice((self.rng.randrange(len(vhd) or 1), len(vhd) - 512, len(vhd) - 1, 512, 0)):]

    def grow(self, vhd):
        vhd[self.rng.choice((0, 512, 1536, len(vhd) - 512, len(vhd))):0] = b'\0' * self.rng.choice((1, 512, 4096))

    @staticmethod
    def patch(vhd, at, form, value):
        if len(vhd) >= at + struct.calcsize(form):
            struct.pack_into(form, vhd, at, value & ((1 << 8 * struct.calcsize(form)) - 1))

    # Changes of names and order.

    def shuffle(self):
        order = self.rng.sample(range(len(self.names)), len(self.names))
        self.names, self.vhds = [self.names[at] for at in order], [self.vhds[at] for at in order]

    def rename(self):
        at = self.rng.randrange(len(self.names))
        self.names[at] = self.rng.choice(('0.vhd', '1.vhd', '7.vhd', '00.vhd', 'snap.vhd', '../0.vhd', '/0.vhd', './0.vhd', 'a/0.vhd',
                                          'swap.vhd', 'vm.json', '.vhd', 'x', './', 'x' * 90 + '.vhd', 'b.vhd'))

    def twice(self):
        at = self.rng.randrange(len(self.names))
        self.names.append(self.rng.choice((self.names[at], 'x.vhd')))
        self.vhds.append(self.vhds[at])

    def leave_out(self):
        at = self.rng.randrange(len(self.names))
        del self.names[at], self.vhds[at]

    def same_names(self):
        self.names = ['%s.vhd' % letter for letter in 'abc'][:len(self.names)]
        self.shuffle()

    # Changes of the tar.

    def kind(self, tar):
        self.tar_field(tar, 156, self.rng.choice((b'1', b'2', b'3', b'5', b'6', b'7', b'S', b'\0', b'x', b'g', b'L', b'K', b'V')))

    def size(self, tar):
        number = self.rng.choice(NUMBERS)
        self.tar_field(tar, 124, self.rng.choice((
            ('%011o' % (number % (1 << 33))).encode('ascii') + b'\0', b'\x80\0\0\0' + struct.pack('>Q', number), b'\xff' * 12,
            b' 7 8\0', b'\0' * 12)))

    def link(self, tar):
        self.tar_field(tar, 157, b'/etc/passwd\0')

    def flip_tar(self, tar):
        tar[self.rng.randrange(min(len(tar), 1024))] ^= 1 << self.rng.randrange(8)

    def after_the_end(self, tar):
        tar += self.rng.choice((b'\0' * 5000, b'x', b'\0' * 700 + b'x', tar[:512]))

    def cut_tar(self, tar):
        del tar[self.rng.randrange(len(tar)):]

    def tar_field(self, tar, at, value):
        tar[at:at + len(value)] = value
        tar[148:156] = b' ' * 8
        tar[148:156] = ('%06o' % sum(tar[:512])).encode('ascii') + b'\0 '

    # Changes of the gzip.

    def flip_gzip(self, data):
        data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)

    def cut_gzip(self, data):
        del data[self.rng.choice((self.rng.randrange(len(data)), len(data) - 1, len(data) - 8)):]

    def follow(self, data):
        data += self.rng.choice((b'x', b'\0', b'\x1f', b'\x1f\x8b', gzipped(b''), gzipped(b'\0' * 600), gzipped(b'x')))


VHD_CHANGES = (Bundle.flip, Bundle.footer_field, Bundle.header_field, Bundle.table_entry, Bundle.swap_entries, Bundle.bitmap,
               Bundle.bitmap, Bundle.parent, Bundle.cut, Bundle.grow)
NAME_CHANGES = (Bundle.shuffle, Bundle.rename, Bundle.twice, Bundle.leave_out, Bundle.same_names)
TAR_CHANGES = (Bundle.kind, Bundle.size, Bundle.link, Bundle.flip_tar, Bundle.after_the_end, Bundle.cut_tar)
GZIP_CHANGES = (Bundle.flip_gzip, Bundle.cut_gzip, Bundle.follow)


class Held(object):
    """The files of a job that nobody else looks at."""

    def cancel_asked(self):
        return False

    def write(self, _state):
        pass


def restore(plugin, data, path, gzip=True, zeros='skip'):
    """What `get_vdis` makes of it in the file, which is its disk; raises what it refuses it with."""
    params = {'imageId': '', 'vdiUuid': '', 'jobId': '', 'maxBytesPerSecond': None, 'sizeBytes': len(data), 'sha512': None,
              'format': 'vhd' if gzip else 'raw', 'readsAsZeros': zeros != 'write'}

    class InMemory(plugin.Restore):
        def one_pass(self, _glance, read, gzip=True):
            pieces = (data[at:at + 70000] for at in range(0, len(data), 70000))
            return 'sha512', plugin.Pipeline(read, gzip).run(pieces, self.run.watch)

    work = InMemory(Held(), params)
    work.writer = plugin.DiskWriter(path, plugin.RateLimit(None), work.count_written)
    work.disk = plugin.RestoredDisk(work.writer, zeros)
    try:
        result = work.transfer(None)
        work.finish()
        return result
    finally:
        work.close()


def disk_in(data):
    """What the disk is, by a reader that is slow, plain, and believes everything."""
    import io
    inflated, rest = [], data
    while rest:
        inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        inflated.append(inflate.decompress(rest) + inflate.flush())
        rest = inflate.unused_data
    with tarfile.open(fileobj=io.BytesIO(b''.join(inflated))) as bundle:
        vhds = [bundle.extractfile(one).read() for one in bundle if one.isfile() and one.name.endswith('.vhd')
                and not one.name.endswith('swap.vhd')]
    by_uuid = dict((vhd[-512:][68:84], vhd) for vhd in vhds)
    parents = dict((uuid, vhd[552:568] if vhd[60:64] == b'\0\0\0\x04' and vhd.startswith(b'conectix') else None)
                   for uuid, vhd in by_uuid.items())
    uuid, = set(by_uuid) - set(parents.values())
    disk = settled = None
    while uuid:
        vhd = by_uuid[uuid]
        size = struct.unpack('>Q', vhd[-512:][48:56])[0]
        if disk is None:
            disk, settled, end = bytearray(size), bytearray(size // 512), size
        end = min(end, size)
        for sector, content in sectors_in(vhd, end):
            if not settled[sector]:
                settled[sector] = 1
                disk[sector * 512:sector * 512 + 512] = content
        uuid = parents[uuid]
    return bytes(disk)


def sectors_in(vhd, end):
    if struct.unpack('>I', vhd[-512:][60:64])[0] == 2:
        for at in range(0, end, 512):
            yield at // 512, vhd[at:at + 512]
        return
    head = struct.unpack('>Q', vhd[16:24])[0]
    table, _, _, block = struct.unpack('>QIII', vhd[head + 16:head + 36])
    for number in range(-(-end // block)):
        begin, = struct.unpack('>I', vhd[table + 4 * number:table + 4 * number + 4])
        if begin == 0xffffffff:
            continue
        bitmap = bytearray(vhd[begin * 512:begin * 512 + block // 4096])
        data = begin * 512 + -(-block // 4096 // 512) * 512
        for sector in range(block // 512):
            if bitmap[sector >> 3] & 0x80 >> (sector & 7) and number * block + sector * 512 < end:
                yield number * block // 512 + sector, vhd[data + sector * 512:data + sector * 512 + 512]
