"""Measures the dom0 plugin's way of an image into a disk against curl | gunzip | tar x, the same with pigz, and both with
qemu-img convert after it, which makes the disk of the VHD, in alternating runs.

Makes its own images in a temporary folder (removed at the end), each a bundle of one VHD all of whose blocks are there, and
sends them from 127.0.0.1. Prints one table: medians of wall and CPU seconds, peak memory of the largest process, what of the
result is in the page cache afterwards, and ours divided by each rival's. Ours checks sha512, gzip, tar and VHD, and flushes what
it wrote; the rivals check gzip, and `sync` flushes what they wrote. A disk is a file here, and O_DIRECT is used where its file system takes it."""
import argparse
import contextlib
import hashlib
import os
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import uuid
import zlib

from images import MAKERS, MIB
from measuring import make_certificate, measure

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), 'plugin', 'tests'))

from vhd_files import BLOCK_BYTES, DYNAMIC, footer, header  # noqa: E402

FETCH = 'curl -sSfk "$URL/v2/images/benchmark/file" | %s | tar -xf - -C "$TO" && sync "$TO/0.vhd"'
CONVERT = ' && qemu-img convert -f vpc -O raw -t none "$TO/0.vhd" "$TO/disk" && sync "$TO/disk"'
RIVALS = (('gunzip|tar', 'gzip', FETCH % 'gunzip', '0.vhd'), ('pigz|tar', 'pigz', FETCH % 'pigz -dc', '0.vhd'),
          ('gunzip|tar, qemu-img', 'qemu-img', FETCH % 'gunzip' + CONVERT, 'disk'))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--size', type=int, default=512, metavar='MIB', help='size of each disk (default %(default)s)')
    add('--rounds', type=int, default=5, help='runs of each (default %(default)s)')
    add('--python', default=sys.executable, help='runs ours (default %(default)s)')
    add('--images', default='mixed,zeros,random', help='default %(default)s')
    add('--over', default='http,tls', help='default %(default)s')
    add('--folder', help='where the temporary folder is made')
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder goes, too
    with tempfile.TemporaryDirectory(prefix='xensnap-bench-', dir=options.folder) as folder:
        Benchmark(options, folder).run()


class Benchmark:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.pem, self.fingerprint = make_certificate(folder)
        self.rivals = [each for each in RIVALS if shutil.which(each[1]) and shutil.which('curl')]
        for name, tool, _command, _result in RIVALS:
            if not shutil.which(tool):
                print('%s is not installed: no %s' % (tool, name))

    def run(self):
        print('%d MiB a disk, %d rounds, load %.1f, %d CPUs\n' % (
            self.options.size, self.options.rounds, os.getloadavg()[0], os.cpu_count()))
        print('%-8s %-5s %-21s %8s %8s %9s %10s   %s' % ('image', 'over', 'what', 'wall s', 'CPU s', 'peak MiB', 'cached MiB',
                                                         'ours / this: wall, CPU'))
        for image in self.options.images.split(','):
            disk = os.path.join(self.folder, image)
            bundle = disk + '.tgz'
            MAKERS[image](disk, self.options.size * MIB)
            make_bundle(disk, bundle)
            for over in self.options.over.split(','):
                with self.source(bundle, over) as url:
                    self.table(image, over, url, bundle, disk)
            os.unlink(disk)
            os.unlink(bundle)

    @contextlib.contextmanager
    def source(self, bundle, over):
        command = [sys.executable, os.path.join(HERE, 'source.py'), bundle] + ([self.pem] if over == 'tls' else [])
        source = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            yield '%s://127.0.0.1:%d' % ('https' if over == 'tls' else 'http', int(source.stdout.readline()))
        finally:
            source.kill()
            source.wait()
            source.stdout.close()

    def table(self, image, over, url, bundle, disk):
        size, sha512 = os.path.getsize(bundle), hash_of(bundle)
        runs = {name: [] for name in ['ours'] + [each[0] for each in self.rivals]}
        for _round in range(self.options.rounds):
            runs['ours'].append(self.one_of_ours(url, size, sha512, disk))
            for name, _tool, command, result in self.rivals:
                runs[name].append(self.one_rival(command, result, url, disk))
        medians = {name: {key: statistics.median(run[key] for run in made) for key in made[0]} for name, made in runs.items()}
        for name, row in medians.items():
            ratios = '' if name == 'ours' else '%.2f %.2f' % tuple(medians['ours'][key] / row[key] for key in ('wall', 'cpu'))
            print('%-8s %-5s %-21s %8.2f %8.2f %9.1f %10.1f   %s' % (
                image, over, name, row['wall'], row['cpu'], row['rss'] / MIB, row['cached'] / MIB, ratios), flush=True)

    def one_of_ours(self, url, size, sha512, disk):
        with self.place() as to:
            path = os.path.join(to, 'disk')
            with open(path, 'wb') as out:
                out.truncate(os.path.getsize(disk))
            command = [self.options.python, '-I', '-S', os.path.join(HERE, 'one_restore.py'), url, str(size), sha512, path]
            env = dict(os.environ, **({'SOURCE_FINGERPRINT': self.fingerprint} if url.startswith('https') else {}))
            row, _told = measure(command, env)
            row['cached'] = cached_bytes(path)
            self.require_same(path, disk)
            return row

    def one_rival(self, command, result, url, disk):
        with self.place() as to:
            row, _told = measure(['bash', '-o', 'pipefail', '-c', command], dict(os.environ, URL=url, TO=to))
            path = os.path.join(to, result)
            row['cached'] = sum(cached_bytes(os.path.join(to, name)) for name in os.listdir(to))
            if result == 'disk':
                self.require_same(path, disk)
            return row

    def place(self):
        return tempfile.TemporaryDirectory(prefix='to-', dir=self.folder)

    def require_same(self, path, disk):
        if subprocess.call(['cmp', '-s', '-n', str(os.path.getsize(disk)), path, disk]):
            raise SystemExit('%s is not the disk that the image holds' % path)


def make_bundle(disk, bundle):
    """As put_vdis makes one: a VHD of one layer whose blocks are all there, in a tar, in gzip's fastest level."""
    size = os.path.getsize(disk)
    blocks = -(-size // BLOCK_BYTES)
    table_bytes = -(-blocks * 4 // 512) * 512
    first = (1536 + table_bytes) // 512
    stride = 1 + BLOCK_BYTES // 512
    end = footer(DYNAMIC, size, uuid.uuid4())
    deflate = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    info = tarfile.TarInfo('0.vhd')
    info.size = (first + blocks * stride + 1) * 512
    with open(disk, 'rb') as data, open(bundle, 'wb') as out:
        def put(piece):
            out.write(deflate.compress(piece))
        put(info.tobuf(tarfile.GNU_FORMAT) + end + header(blocks, None, ''))
        begins = [first + number * stride for number in range(blocks)]
        put(struct.pack('>%dI' % blocks, *begins).ljust(table_bytes, b'\xff'))
        for _ in range(blocks):
            put(b'\xff' * 512)
            put(data.read(BLOCK_BYTES).ljust(BLOCK_BYTES, b'\0'))
        put(end + b'\0' * (-info.size % 512) + b'\0' * 1024)
        out.write(deflate.flush())


def hash_of(path):
    digest = hashlib.sha512()
    with open(path, 'rb') as data:
        for piece in iter(lambda: data.read(MIB), b''):
            digest.update(piece)
    return digest.hexdigest()


def cached_bytes(path):
    """What of the file is in the page cache; 0 where nothing tells."""
    if not shutil.which('fincore'):
        return 0
    return int(subprocess.check_output(['fincore', '-b', '-n', '-o', 'RES', path]))


if __name__ == '__main__':
    main()
