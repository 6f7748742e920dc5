import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest
import zlib

from support import load_plugin

from src.crc import CrcJoiner

plugin = load_plugin()
CHUNK = plugin.CHUNK_BYTES
BLOCK = plugin.BLOCK_BYTES
ZLIB, LIBDEFLATE = plugin.load_libraries(False), plugin.load_libraries()
LIBDEFLATE = LIBDEFLATE if LIBDEFLATE and LIBDEFLATE.libdeflate else None
LIBRARIES = [None] + [found for found in (ZLIB, LIBDEFLATE) if found]  # None: Python's own zlib


def some_random(size, seed):
    source = random.Random(seed)
    words = b''.join(plugin.struct.pack('<Q', source.getrandbits(64)) for _ in range(size // 8 + 1))
    return words[:size]


def some_text(size, seed):
    words = [('%x' % (seed * 7919 + number * number)).encode('ascii') for number in range(4001)]
    text = b' '.join(words[number * number % 4001] for number in range(20000))
    return (text * (size // len(text) + 1))[:size]


def mixed(size):
    """Stretches of text, zeros and random bytes whose borders are not those of chunks."""
    parts, number, left = [], 0, size
    while left:
        number += 1
        length = min(left, (number * 77777) % 400000 + 1)
        parts.append((some_text(length, number), b'\0' * length, some_random(length, number))[number % 3])
        left -= length
    return b''.join(parts)


def a_program_s_files(size):
    """What disks hold: Python itself, then the sources and libraries that come with it. Python 2.7 keeps its
    bytecode twice, which is a worst case again."""
    folder = os.path.dirname(os.path.realpath(os.__file__))
    paths = [os.path.realpath(sys.executable)] + [os.path.join(found, name) for found, _folders, names in
                                                  sorted(os.walk(folder)) for name in sorted(names)
                                                  if not name.endswith('.pyo')]
    data = bytearray()
    for path in paths:
        with io.open(path, 'rb') as handle:
            data += handle.read(size // 4)
        if len(data) >= size:
            return bytes(data[:size])
    raise AssertionError('%s has less than %d bytes' % (folder, size))


class Described(object):
    """As much of a VHD's footer as the tar needs."""

    @staticmethod
    def modified():
        return plugin.EARLIEST_TIME


def a_file(path):
    part = plugin.ChainFile(path)
    part.vhd = Described()
    part.vhd.footer = part.vhd
    return part


def has(tool):
    return any(os.access(os.path.join(folder, tool), os.X_OK) for folder in os.environ['PATH'].split(os.pathsep))


class BundleTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='xensnap-bundle-')
        self.addCleanup(shutil.rmtree, self.folder, True)

    def a_source(self, contents):
        """The chain's own reading code, over files that are no VHDs."""
        source = plugin.ChainSource()
        self.addCleanup(source.close)
        for number, data in enumerate(contents):
            path = os.path.join(self.folder, 'disk-%d' % number)
            with io.open(path, 'wb') as out:
                out.write(data)
            source.files.append(a_file(path))
        return source

    def a_bundle(self, contents, level=1, threads=2, libraries=None, **options):
        compressor = plugin.GzipCompressor(level, threads, libraries=libraries, **options)
        return b''.join(plugin.bundle(self.a_source(contents), compressor, lambda size: None))


class ReadersTest(BundleTest):
    """Every reader gives back every file byte for byte, whichever library made the bundle."""

    SETS = (
        [b'\0' * (3 * CHUNK), some_random(CHUNK + CHUNK // 2, 1), mixed(3 * CHUNK + 777)],
        [mixed(CHUNK), some_text(CHUNK + 1, 2), some_random(CHUNK - 1, 3)],
        [b'', b'x', b'\0' * (BLOCK - 1)],
        [some_text(CHUNK, 4) + b'\0' * CHUNK, some_random(BLOCK, 5) + some_text(9 * BLOCK + 5, 6), b'\0' * (CHUNK + 512)],
    )
    bundles = []

    def each_bundle(self):
        """(contents, path of the bundle)"""
        if not self.bundles:
            for contents in self.SETS:
                self.bundles.extend((contents, self.a_bundle(contents, libraries=one)) for one in LIBRARIES)
        for number, (contents, data) in enumerate(self.bundles):
            path = os.path.join(self.folder, 'bundle-%d.tar.gz' % number)
            with io.open(path, 'wb') as out:
                out.write(data)
            yield contents, path

    def assert_extracts(self, *command):
        for contents, path in self.each_bundle():
            target = path + '.d'
            os.mkdir(target)
            subprocess.check_call(command + ('-xzf', path, '-C', target))
            self.assertEqual(sorted(os.listdir(target)), ['%d.vhd' % number for number in range(len(contents))])
            for number, data in enumerate(contents):
                with io.open(os.path.join(target, '%d.vhd' % number), 'rb') as handle:
                    self.assertTrue(handle.read() == data, '%s %d.vhd' % (path, number))

    def assert_inflates(self, *command):
        for contents, path in self.each_bundle():
            plain = subprocess.check_output(command + (path,))
            with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
                self.assert_members(tar, contents)

    def assert_members(self, tar, contents):
        names = []
        for member in tar:
            self.assertTrue(tar.extractfile(member).read() == contents[len(names)], member.name)
            names.append(member.name)
        self.assertEqual(names, ['%d.vhd' % number for number in range(len(contents))])

    def test_python_as_a_stream_and_with_seeks(self):
        for mode in ('r|gz', 'r:gz'):
            for contents, path in self.each_bundle():
                with tarfile.open(path, mode) as tar:
                    self.assert_members(tar, contents)

    @unittest.skipUnless(has('tar'), 'no tar here')
    def test_gnu_tar(self):
        self.assert_extracts('tar')

    @unittest.skipUnless(has('busybox'), 'no busybox here')
    def test_busybox(self):
        self.assert_extracts('busybox', 'tar')

    @unittest.skipUnless(has('gzip'), 'no gzip here')
    def test_gzip(self):
        for _contents, path in self.each_bundle():
            subprocess.check_call(('gzip', '-t', path))
        self.assert_inflates('gzip', '-dc')

    @unittest.skipUnless(has('node'), 'no node here')
    def test_node(self):
        script = "require('fs').createReadStream(process.argv[1]).pipe(require('zlib').createGunzip())" \
                 ".pipe(process.stdout)"
        self.assert_inflates('node', '-e', script)

    def test_one_member_and_nothing_after_it(self):
        for _contents, path in self.each_bundle():
            with io.open(path, 'rb') as handle:
                inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
                plain = inflate.decompress(handle.read()) + inflate.flush()
            self.assertEqual((inflate.unused_data, len(plain) % 10240), (b'', 0))


class FormatTest(BundleTest):
    def setUp(self):
        BundleTest.setUp(self)
        self.contents = [mixed(4 * CHUNK + 5), some_text(2 * CHUNK, 7)]

    def test_the_same_bytes_on_every_run_whatever_the_number_of_threads(self):
        for libraries in LIBRARIES:
            for level in (1, 6):
                made = set(self.a_bundle(self.contents, level, threads, libraries) for threads in (1, 2, 3, 2))
                self.assertEqual(len(made), 1)

    def test_levels(self):
        for libraries in LIBRARIES:
            sizes = []
            for level in (1, 2, 5, 9):
                data = self.a_bundle(self.contents, level, 2, libraries)
                self.assertEqual(len(zlib.decompress(data, 31)) % 10240, 0)
                sizes.append(len(data))
            self.assertLess(sizes[-1], sizes[0])

    def test_zeros_come_to_next_to_nothing(self):
        self.assertLess(len(self.a_bundle([b'\0' * (8 * CHUNK)])), 8 * CHUNK // 900)

    def test_random_data_does_not_grow(self):
        data = some_random(2 * CHUNK, 8)
        for libraries in LIBRARIES:
            self.assertLess(len(self.a_bundle([data], libraries=libraries)), len(data) * 1.0005)

    def test_random_samples_do_not_store_what_shrinks(self):
        block = plugin.SAMPLE_BYTES
        data = bytearray(some_text(CHUNK, 9))
        for offset in (0, CHUNK // 3, CHUNK * 2 // 3, CHUNK - block):
            data[offset:offset + block] = some_random(block, offset)
        self.assertLess(len(self.a_bundle([bytes(data)])), CHUNK * 0.7)

    def test_random_blocks_amid_text_are_stored(self):
        data = some_random(3 * BLOCK, 11)
        for libraries in LIBRARIES:
            made = self.a_bundle([some_text(5 * BLOCK, 12) + data + some_text(8 * BLOCK, 13)], libraries=libraries)
            self.assertIn(data[:plugin.STORED_MAX], made)

    def test_no_library_makes_programs_much_larger_than_python_s_zlib(self):
        self.assert_at_most([a_program_s_files(6 * CHUNK)], ((ZLIB, 1.02), (LIBDEFLATE, 1.1)))

    def test_nor_text_that_repeats_itself_at_the_window_s_end(self):
        """Their blocks of 64 KiB know nothing of each other, which this text is the worst case for."""
        self.assert_at_most(self.contents, ((ZLIB, 1.2), (LIBDEFLATE, 1.1)))

    def assert_at_most(self, contents, ratios):
        by_python = len(self.a_bundle(contents))
        for libraries, most in ratios:
            self.assertLess(len(self.a_bundle(contents, libraries=libraries)), most * by_python)


class HoleTest(BundleTest):
    """What a file system knows to be zeros is not read."""

    SIZE, DATA_AT = 5 * CHUNK + 512, 2 * CHUNK + 4096

    def a_sparse_source(self):
        source = self.a_source([b''])
        path = source.files[0].path
        with io.open(path, 'r+b') as out:
            out.truncate(self.SIZE)
            out.seek(self.DATA_AT)
            out.write(some_text(8192, 1))
        source.files[:] = [a_file(path)]
        return source

    def require_holes(self, path):
        with io.open(path, 'rb') as handle:
            if os.lseek(handle.fileno(), 0, plugin.SEEK_DATA) == 0:
                self.skipTest('no holes on this file system')

    def bundle_of(self, source):
        return b''.join(plugin.bundle(source, plugin.GzipCompressor(1, 2), lambda size: None))

    def test_the_bundle_is_that_of_a_file_without_holes(self):
        sparse = self.bundle_of(self.a_sparse_source())
        data = b'\0' * self.DATA_AT + some_text(8192, 1)
        self.assertTrue(sparse == self.a_bundle([data + b'\0' * (self.SIZE - len(data))]))

    def test_reads_only_chunks_with_data(self):
        source, holes = self.a_sparse_source(), []
        part = source.files[0]
        self.require_holes(part.path)
        real = part.is_hole
        part.is_hole = lambda offset, size: holes.append((offset, real(offset, size))) or holes[-1][1]
        self.bundle_of(source)
        self.assertEqual(sorted(holes), [(number * CHUNK, number != 2) for number in range(6)])

    def test_a_file_that_shrank_is_no_hole(self):
        part = self.a_sparse_source().files[0]
        with io.open(part.path, 'r+b') as out:
            out.truncate(4 * CHUNK)
        with self.assertRaises(plugin.PluginError) as caught:
            part.read_into(memoryview(bytearray(CHUNK)), 4 * CHUNK)
        self.assertEqual(caught.exception.code, 'CHAIN_CHANGED')


@unittest.skipUnless(LIBDEFLATE, 'no libdeflate here')
class LibdeflateTest(unittest.TestCase):
    """Its streams are made such that others can follow."""

    def setUp(self):
        self.engine = plugin.Libdeflate(LIBDEFLATE, 1)
        self.addCleanup(self.engine.close)

    def pieces(self):
        """Text, programs and the like, of many sizes and of many degrees of disorder."""
        with io.open(os.path.realpath(sys.executable), 'rb') as program:
            code = program.read(1 << 20)
        for number in range(120):
            size = number * 547 % BLOCK + 1
            yield bytearray(some_text(size, number))
            yield bytearray(code[number * 7919 % (len(code) // 2 + 1):][:size])
            yield bytearray(' '.join(str(word * word % (number + 2)) for word in range(size // 2 + 1)).encode('ascii'))

    def test_finds_the_same_end_as_inflating_does(self):
        asked = found = 0
        for data in self.pieces():
            engine, size = self.engine, min(len(data), BLOCK)
            used = engine.libdeflate.libdeflate_deflate_compress(
                engine.compressor, plugin.address_of(data), size, engine.out_at, len(engine.out))
            free_bits = engine.free_bits(0, used)
            begin, inflated_bits = engine.inflated(plugin.address_of(data), size, 0, used)
            if used > engine.TAIL_BYTES and begin == 0:
                asked += 1
            if free_bits is not None:
                found += 1
                self.assertEqual((0, free_bits), (begin, inflated_bits))
        self.assertTrue(asked > 100 and found > asked * 0.8, (asked, found))

    def test_inflates_where_the_end_is_not_found_and_leaves_it_to_zlib_where_that_fails(self):
        data = bytearray(some_text(3 * BLOCK + 5, 1))
        known = self.engine(data, 0, len(data))
        self.engine.free_bits = lambda at, used: None
        self.assertEqual(self.engine(data, 0, len(data)), known)
        self.engine.inflated = lambda *_: (None, None)
        made = self.engine(data, 0, len(data))
        self.assertNotEqual(made, known)
        self.assertEqual(zlib.decompress(made + b'\3\0', -15), bytes(data))

    def test_an_inflated_stream_that_is_not_the_data_is_not_taken(self):
        data, other = bytearray(some_text(BLOCK, 1)), bytearray(some_text(BLOCK, 2))
        used = self.engine.libdeflate.libdeflate_deflate_compress(
            self.engine.compressor, plugin.address_of(data), BLOCK, self.engine.out_at, len(self.engine.out))
        self.assertNotEqual(self.engine.inflated(plugin.address_of(data), BLOCK, 0, used), (None, None))
        self.assertEqual(self.engine.inflated(plugin.address_of(other), BLOCK, 0, used), (None, None))


class CrcTest(unittest.TestCase):
    def test_joins_as_if_it_were_one_stretch(self):
        data = some_random(200000, 10)
        joiner = CrcJoiner()
        for cut in (0, 1, 511, 65536, 131071, 200000):
            first, second = zlib.crc32(data[:cut]) & 0xffffffff, zlib.crc32(data[cut:]) & 0xffffffff
            self.assertEqual(joiner.join(first, second, len(data) - cut), zlib.crc32(data) & 0xffffffff)


class Stopped(Exception):
    pass


class StopTest(BundleTest):
    def threads_gone(self, before):
        return set(threading.enumerate()) <= before

    def test_a_bundle_that_is_left_stops_its_threads_and_closes_its_files(self):
        before = set(threading.enumerate())
        source = self.a_source([some_text(20 * CHUNK, 1)])
        pieces = plugin.bundle(source, plugin.GzipCompressor(1, 2), lambda size: None)
        next(pieces)
        next(pieces)
        pieces.close()
        self.assertTrue(self.threads_gone(before))
        self.assertTrue(source.files[0].handle.closed)

    def test_watch_stops_a_read_that_hangs(self):
        hang = threading.Event()
        self.addCleanup(hang.set)
        source = self.a_source([some_text(3 * CHUNK, 1)])
        source.files[0].read_into = lambda view, offset: hang.wait(60)

        def watch():
            raise Stopped()
        began = time.time()
        with self.assertRaises(Stopped):
            list(plugin.bundle(source, plugin.GzipCompressor(1, 2, watch), lambda size: None))
        self.assertLess(time.time() - began, 5)

    def test_a_trouble_in_a_thread_is_raised_here(self):
        source = self.a_source([some_text(6 * CHUNK, 1)])
        with open(source.files[0].path, 'r+b') as handle:
            handle.truncate(4 * CHUNK + 5)
        with self.assertRaises(plugin.PluginError) as caught:
            list(plugin.bundle(source, plugin.GzipCompressor(1, 2), lambda size: None))
        self.assertEqual(caught.exception.code, 'CHAIN_CHANGED')

    def test_counts_what_was_read(self):
        sizes, contents = [], [some_text(3 * CHUNK + 9, 1), b'\0' * CHUNK]
        list(plugin.bundle(self.a_source(contents), plugin.GzipCompressor(1, 2), sizes.append))
        self.assertEqual((sum(sizes), max(sizes)), (4 * CHUNK + 9, CHUNK))


class RateTest(BundleTest):
    def setUp(self):
        BundleTest.setUp(self)
        self.now, real = 1000.0, plugin.clock
        plugin.clock = lambda: self.now
        self.addCleanup(setattr, plugin, 'clock', real)

    def test_lets_through_as_many_bytes_as_the_rate_says(self):
        limit, taken = plugin.RateLimit(10 * CHUNK), 0
        for _ in range(1000):
            while not limit.seconds_left():
                limit.take(CHUNK)
                taken += CHUNK
            self.now += 0.01
        self.assertTrue(99 * CHUNK <= taken <= 102 * CHUNK, taken)

    def test_saves_up_no_burst_during_a_pause(self):
        limit, taken = plugin.RateLimit(10 * CHUNK), 0
        self.now += 3600
        while not limit.seconds_left():
            limit.take(CHUNK)
            taken += CHUNK
        self.assertLessEqual(taken, 2 * CHUNK)

    def test_outlives_a_clock_that_is_set_back(self):
        limit = plugin.RateLimit(10 * CHUNK)
        limit.take(CHUNK)
        self.now -= 3600
        self.assertLess(limit.seconds_left(), 0.2)
        self.now += 0.2
        self.assertEqual(limit.seconds_left(), 0)

    def test_no_limit_never_waits(self):
        limit = plugin.RateLimit(None)
        limit.take(1 << 40)
        self.assertEqual(limit.seconds_left(), 0)

    def test_nothing_is_read_that_the_limit_holds_back(self):
        source, reads = self.a_source([some_text(20 * CHUNK, 1)]), []
        real_read = source.files[0].read_into

        def read(view, offset):
            reads.append(offset)
            real_read(view, offset)
        source.files[0].read_into = read
        waits = []

        def watch():
            waits.append(len(reads))
            self.now += 0.05
        list(plugin.bundle(source, plugin.GzipCompressor(1, 2, watch, plugin.RateLimit(10 * CHUNK)), lambda size: None))
        self.assertEqual(len(reads), 20)
        self.assertGreaterEqual(self.now, 1000 + 1.8)


if __name__ == '__main__':
    unittest.main()
