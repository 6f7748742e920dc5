"""Images that somebody made to do harm: each is refused by its code, in bounded memory, and nothing but the disk is written."""
import io
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest
import zlib

from images import Layer, disk_of, fixed_vhd, gzipped, real_tar, some_layers, tar_of, vhds_of
from mutated_bundles import BLOCK, BLOCKS, DISK_BYTES, restore
from support import HERE, load_plugin
from vhd_files import BLOCK_BYTES, with_checksum


class HostileImageTest(unittest.TestCase):
    def setUp(self):
        self.plugin = load_plugin()
        self.plugin.BlockDevice.sync = lambda _device: None
        self.folder = tempfile.mkdtemp(prefix='xensnap-hostile-')
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, 'disk')
        self.layers = some_layers(77, 2, BLOCKS, BLOCK)
        self.vhds = [bytearray(vhd) for vhd in vhds_of(self.layers)]

    def new_disk(self, size=DISK_BYTES):
        with io.open(self.path, 'wb') as out:
            out.truncate(size)

    def refuses(self, words, data, code='IMAGE_DAMAGED'):
        self.new_disk()
        with self.assertRaises(self.plugin.PluginError) as caught:
            restore(self.plugin, data, self.path)
        self.assertEqual(caught.exception.code, code, caught.exception.message)
        self.assertIn(words, caught.exception.message)
        self.assertFalse(caught.exception.retryable)
        self.assertEqual(os.listdir(self.folder), ['disk'])
        self.assertEqual(os.path.getsize(self.path), DISK_BYTES)

    def bundle(self, *more, **options):
        return gzipped(tar_of([('%d.vhd' % number, bytes(vhd)) for number, vhd in enumerate(self.vhds)] + list(more), **options))

    def one_entry(self, name, kind, **fields):
        info = tarfile.TarInfo(name)
        info.type = kind
        for field, value in fields.items():
            setattr(info, field, value)
        return gzipped(info.tobuf(tarfile.GNU_FORMAT) + b'\0' * 1024)

    def test_names_that_lead_elsewhere_and_what_is_no_file(self):
        for name in ('../0.vhd', '/0.vhd', './../0.vhd', 'a/../../0.vhd', '..'):
            self.refuses('leads out of', self.one_entry(name, tarfile.REGTYPE))
        for kind, words in ((tarfile.SYMTYPE, 'a symbolic link'), (tarfile.LNKTYPE, 'a hard link'), (tarfile.CHRTYPE, 'a device'),
                            (tarfile.BLKTYPE, 'a device'), (tarfile.FIFOTYPE, 'a pipe'), (tarfile.DIRTYPE, 'a folder'),
                            (b'S', 'a sparse file'), (b'Z', 'no plain file')):
            self.refuses(words, self.one_entry('0.vhd', kind, linkname='/etc/shadow'))
        self.refuses('is in a folder', self.one_entry('a/0.vhd', tarfile.REGTYPE))
        self.refuses('does not belong', self.one_entry('0.qcow2', tarfile.REGTYPE))

    def test_names_twice_and_numbers_left_out(self):
        self.refuses('there twice', self.bundle(('0.vhd', bytes(self.vhds[0]))))
        self.refuses('there twice', self.bundle(('./0.vhd', bytes(self.vhds[0]))))
        self.refuses('there twice', gzipped(tar_of([('vm.json', b'{}')] * 2)))
        self.refuses('numbers 0, 2', gzipped(tar_of([('0.vhd', bytes(self.vhds[0])), ('2.vhd', bytes(self.vhds[1]))])))

    def test_names_without_an_end(self):
        name = 'x' * (1 << 19)
        self.refuses('far too long', gzipped(tar_of([(name + '.vhd', bytes(self.vhds[1]))], format=tarfile.GNU_FORMAT)))
        self.refuses('far too long', gzipped(self.pax([('path', name)]) + tar_of([('0.vhd', bytes(self.vhds[1]))])))
        self.refuses('follows', gzipped(tar_of([('x' * 251 + '.vhd', bytes(self.vhds[1]))], format=tarfile.PAX_FORMAT) + b'x'))

    def test_chains_that_are_none(self):
        other = Layer({}, BLOCKS, block_bytes=BLOCK).vhd()
        self.refuses('is missing', gzipped(tar_of([('0.vhd', bytes(self.vhds[0]))])))
        self.refuses('two disks', gzipped(tar_of([('0.vhd', bytes(self.vhds[1])), ('1.vhd', other)])))
        self.refuses('the same disk', gzipped(tar_of([('a.vhd', other), ('b.vhd', other)])))
        self.refuses('holds no VHD', gzipped(tar_of([('vm.json', b'{}')])))
        one, two = Layer({}, BLOCKS, block_bytes=BLOCK), Layer({}, BLOCKS, block_bytes=BLOCK)
        self.refuses('parents of each other', gzipped(tar_of([('0.vhd', one.vhd(two)), ('1.vhd', two.vhd(one))])))
        self.refuses('parents of each other', gzipped(tar_of([('0.vhd', one.vhd(one))])))
        self.refuses('another size', gzipped(tar_of([('0.vhd', one.vhd(self.layers[1])), ('1.vhd', Layer(
            {}, 1, self.layers[1].uuid).vhd())])))

    def test_a_parent_with_larger_blocks_than_its_leaf(self):
        parent = Layer({0: {0: b'p' * BLOCK_BYTES}}, 1)
        leaf = Layer({0: {0: b'l' * 512}}, BLOCKS, block_bytes=BLOCK)
        self.refuses('another size', gzipped(tar_of([('0.vhd', leaf.vhd(parent)), ('1.vhd', parent.vhd())])))

    def test_more_layers_than_an_image_has(self):
        layers = [Layer({}, 1, block_bytes=BLOCK) for _ in range(65)]
        self.refuses('more than 64', gzipped(tar_of([('%d.vhd' % number, vhd) for number, vhd in enumerate(vhds_of(layers))])))

    def test_disks_that_are_larger_than_the_vdi(self):
        large = Layer({}, BLOCKS + 1, block_bytes=BLOCK)
        for files in ([('0.vhd', large.vhd())], [('0.vhd', self.layers[0].vhd(large)), ('1.vhd', large.vhd())],
                      [('0.vhd', fixed_vhd(b'\0' * (DISK_BYTES + 512)))]):
            self.refuses('', gzipped(tar_of(files)), 'VDI_TOO_SMALL')

    def test_blocks_that_lie(self):
        table = struct.unpack_from('>%dI' % BLOCKS, self.vhds[0], 1536)
        held = [number for number, begin in enumerate(table) if begin != 0xffffffff]
        for value in (0, 3, 1 << 31, 0xfffffffe, len(self.vhds[0]) // 512 - 2, table[held[0]] + 1, table[held[0]] - 1):
            vhd = bytearray(self.vhds[0])
            spare = held[-1] if len(held) > 1 else next(number for number in range(BLOCKS) if number not in held)
            struct.pack_into('>I', vhd, 1536 + 4 * spare, value)
            self.refuses('block', gzipped(tar_of([('0.vhd', bytes(vhd)), ('1.vhd', bytes(self.vhds[1]))])))

    def test_a_vhd_that_is_far_longer_than_its_disk(self):
        vhd = self.vhds[1]
        info = tarfile.TarInfo('0.vhd')
        info.size = 1 << 42
        data = gzipped(info.tobuf(tarfile.GNU_FORMAT) + bytes(vhd[:2048]))
        self.refuses('far too much', data)

    def test_bombs(self):
        zeros = self.deflated_zeros(300 << 20)
        self.refuses('far too many zeros', gzipped(tar_of([('0.vhd', bytes(self.vhds[1]))])) + zeros)
        self.refuses('follows the end of its tar', self.bundle() + gzipped(b'\0' * 70000 + b'x'))
        header = tarfile.TarInfo('x')
        header.type, header.size = tarfile.XHDTYPE, 0
        self.refuses('more than 1000 headers', gzipped(header.tobuf(tarfile.GNU_FORMAT) * 1100))
        header.size = 1 << 30
        self.refuses('far too large', gzipped(header.tobuf(tarfile.GNU_FORMAT)))
        for name in ('vm.json', 'swap.vhd'):
            info = tarfile.TarInfo(name)
            info.size = 1 << 41
            self.refuses('far too large', gzipped(info.tobuf(tarfile.GNU_FORMAT)))

    @staticmethod
    def deflated_zeros(size):
        deflate = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        return b''.join([deflate.compress(b'\0' * (1 << 20)) for _ in range(size >> 20)] + [deflate.flush()])

    def test_gzip(self):
        whole = self.bundle()
        self.refuses('no gzip', b'x' * 5000)
        self.refuses('no gzip', bytes(self.vhds[0]))
        self.refuses('cut off in the middle of its gzip', whole[:-1])
        self.refuses('follows the end of its gzip', whole + b'x')
        self.refuses('cut off', b'')
        for at in (-1, -8):
            spoilt = bytearray(whole)
            spoilt[at] ^= 1
            self.refuses('its gzip is damaged', bytes(spoilt))

    def test_pax_headers_with_sizes_that_lie(self):
        for size, words in (('99999999999999999999999', 'far too large'), ('-1', 'no number'), ('0x5', 'no number'),
                            (str(1 << 60), 'far too large'), ('700', 'no VHD')):
            self.refuses(words, gzipped(self.pax([('size', size)]) + tar_of([('0.vhd', bytes(self.vhds[1]))])))
        self.refuses('sparse file', gzipped(self.pax([('GNU.sparse.major', '1')])))
        self.refuses('leads out of', gzipped(self.pax([('path', '../../etc/passwd')]) + tar_of([('0.vhd', b'')])))
        for record in (b'5 x=y\n', b'0 x=y\n', b'-6 x=y\n', b'99 x=y\n', b'6 x=y\0', b'x', b'07 x=y\n'):
            self.refuses('pax header', gzipped(self.extra(b'x', record)))

    def pax(self, fields):
        records = b''
        for key, value in fields:
            size = len(key) + len(value) + 3
            size += len(str(size + len(str(size))))
            records += ('%d %s=%s\n' % (size, key, value)).encode('ascii')
        return self.extra(b'x', records)

    @staticmethod
    def extra(kind, data):
        info = tarfile.TarInfo('x')
        info.type, info.size = kind, len(data)
        return info.tobuf(tarfile.GNU_FORMAT) + data + b'\0' * (-len(data) % 512)

    def test_each_kind_of_number_of_a_size(self):
        number = self.plugin.tar_number
        for field, value in ((b'00000000017\0', 15), (b' 17 \0', 15), (b'\0' * 12, 0), (b'            ', 0),
                             (b'\x80' + b'\0' * 9 + b'\x01\x02', 258)):
            self.assertEqual(number(field, 'x'), value)
        for field in (b'8\0', b'1 7\0', b'-1\0', b'\xff' * 12, b'\x80\xff' + b'\0' * 10, b'0x17\0'):
            self.assertRaises(self.plugin.PluginError, number, field, 'x')

    def test_what_is_already_there_is_zeroed_where_it_must_be(self):
        expected = disk_of(self.layers)
        for zeros in ('make', 'write'):
            for size in (DISK_BYTES, DISK_BYTES + 70000 // 512 * 512):
                with io.open(self.path, 'wb') as out:
                    out.write(b'\xee' * size)
                restore(self.plugin, self.bundle(), self.path, zeros=zeros)
                with io.open(self.path, 'rb') as disk:
                    self.assertTrue(disk.read() == expected.ljust(size, b'\0'), (zeros, size))


    def test_a_write_that_outlasts_all_else_lets_the_disk_go_when_it_ends(self):
        self.new_disk()
        go_on, write = threading.Event(), self.plugin.BlockDevice.write
        self.plugin.STOP_WRITER_SECONDS = 0.05
        self.plugin.BlockDevice.write = lambda *what: go_on.wait(60) and write(*what)
        for more in (0, 8):  # that wait in line: as many as it takes
            go_on.clear()
            writer = self.plugin.DiskWriter(self.path, self.plugin.RateLimit(None), lambda _size: None)
            writer.write_zeros(0, 512)
            while writer.jobs.qsize():
                time.sleep(0.01)
            for _ in range(more):
                writer.write_zeros(0, 512)
            self.assertFalse(writer.close())
            go_on.set()
            writer.thread.join(10)
            self.assertTrue(writer.device.file.closed)


class MemoryTest(unittest.TestCase):
    """By processes that have nothing but the plugin in them."""

    def measured(self, *what):
        folder = tempfile.mkdtemp(prefix='xensnap-memory-')
        try:
            path = os.path.join(folder, 'image')
            if what == ('image',):
                with io.open(path, 'wb') as out:
                    write_largest_map(out)
            arguments = [sys.executable, os.path.join(HERE, 'measured.py')] + list(what) + [path]
            said = subprocess.check_output(arguments).decode('ascii').split()
            return int(said[0]) >> 10, said[1]
        finally:
            shutil.rmtree(folder)

    def test_one_sector_in_each_block_of_the_largest_chain(self):
        peak, _ = self.measured('settled')
        self.assertLessEqual(peak, 64)

    def test_a_map_of_the_largest_disk_in_any_order(self):
        peak, said = self.measured('image')
        self.assertLessEqual(peak, 64)
        self.assertEqual(said, 'IMAGE_DAMAGED')


def write_largest_map(out):
    """A VHD of 2,040 GiB whose BAT is full, up to its third block, where it ends."""
    blocks = (2040 << 30) // BLOCK_BYTES
    stride = BLOCK_BYTES // 512 + 1
    first = (1536 + 4 * blocks) // 512 + 1
    info = tarfile.TarInfo('0.vhd')
    info.size = (first + blocks * stride + 1) * 512
    deflate = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    out.write(deflate.compress(info.tobuf(tarfile.GNU_FORMAT) + Layer({}, blocks).vhd()[:1536]))
    for at in range(0, blocks, 4080):
        begins = [first + ((number * 31) % blocks) * stride for number in range(at, at + 4080)]
        out.write(deflate.compress(struct.pack('>4080I', *begins)))
    for _ in range(6):
        out.write(deflate.compress(b'\xff' * (1 << 20)))
    out.write(deflate.flush())


if __name__ == '__main__':
    unittest.main()
