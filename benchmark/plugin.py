"""Measures the dom0 plugin's bundling against tar piped into gzip, pigz and zstd, in alternating runs.

Makes its own images in a temporary folder (removed at the end), prints one table: medians of wall and CPU
seconds, peak memory and output size, and ours divided by each rival's. The plugin's figures include sha512
of what it makes, and Python's start, though without `site`, since this machine's packages are not dom0's; the
rivals have no hash. All run at the same priority. Over HTTP and TLS, what the sink got is compared with what was
sent, by size and sha512; the rivals send with curl. A rival's peak memory cannot be seen below that of this
script itself, some 25 MiB."""
import argparse
import contextlib
import ctypes.util
import hashlib
import json
import os
import shutil
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import urllib.request

from images import MAKERS, MIB, make_zeros
from measuring import make_certificate, measure

HERE = os.path.dirname(os.path.abspath(__file__))
RIVALS = (('tar|gzip -6', 'gzip', 'gzip -6'), ('tar|gzip -1', 'gzip', 'gzip -1'),
          ('tar|pigz -1', 'pigz', 'pigz -m -p {threads} -1'), ('tar|zstd -1', 'zstd', 'zstd -1 -q -T{threads}'))
TAR = 'tar -C "$(dirname "$FILE")" -cf - "$(basename "$FILE")"'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--size', type=int, default=512, metavar='MIB', help='size of each image (default %(default)s)')
    add('--rounds', type=int, default=5, help='runs of each (default %(default)s)')
    add('--threads', type=int, default=2, help='ours and those of pigz and zstd (default %(default)s)')
    add('--level', type=int, default=1, help='ours (default %(default)s)')
    add('--python', default=sys.executable, help='runs ours (default %(default)s)')
    add('--images', default='mixed,zeros,random', help='default %(default)s')
    add('--to', default='null,http,tls', help='default %(default)s')
    add('--sparse', type=int, default=8192, metavar='MIB', help='size of the sparse file for peak memory; 0: not')
    add('--folder', help='where the temporary folder is made')
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder goes, too
    with tempfile.TemporaryDirectory(prefix='xensnap-bench-', dir=options.folder) as folder:
        with contextlib.ExitStack() as stack:
            Benchmark(options, folder, stack).run()


class Benchmark:
    def __init__(self, options, folder, stack):
        self.options = options
        self.folder = folder
        self.urls = {'null': '-'}
        self.fingerprint = None
        for kind in set(options.to.split(',')) - {'null'}:
            self.urls[kind] = self.start_sink(kind, stack)
        libraries = ['zlib'] + (['libdeflate'] if ctypes.util.find_library('deflate') else [])
        self.ours = [('ours, ' + one, [one, str(options.level), str(options.threads)]) for one in libraries]
        self.rivals = [(name, '%s | %s' % (TAR, pipe.format(threads=options.threads)))
                       for name, tool, pipe in RIVALS if shutil.which(tool)]
        for name, tool, _pipe in RIVALS:
            if not shutil.which(tool):
                print('%s is not installed: no %s' % (tool, name))
        if len(libraries) == 1:
            print('libdeflate.so.0 is not installed: zlib only')

    def start_sink(self, kind, stack):
        arguments = []
        if kind == 'tls':
            pem, self.fingerprint = make_certificate(self.folder)
            arguments = [pem]
        sink = subprocess.Popen([sys.executable, os.path.join(HERE, 'sink.py')] + arguments, stdout=subprocess.PIPE)
        stack.callback(sink.wait)
        stack.callback(sink.kill)
        return '%s://127.0.0.1:%d' % ('https' if kind == 'tls' else 'http', int(sink.stdout.readline()))

    def run(self):
        python = subprocess.check_output([self.options.python, '-c', 'import platform; print(platform.python_version())'])
        print('%d MiB an image, %d threads, %d rounds, load %.1f, %d CPUs, Python %s\n' % (
            self.options.size, self.options.threads, self.options.rounds, os.getloadavg()[0], os.cpu_count(),
            python.decode('ascii').strip()))
        self.heading()
        for image in self.options.images.split(','):
            path = os.path.join(self.folder, image + '.vhd')
            MAKERS[image](path, self.options.size * MIB)
            expected = {name: self.reference(command, path) for name, command in self.rivals}
            for to in self.options.to.split(','):
                self.table(image, to, path, expected)
            os.unlink(path)
        if self.options.sparse:
            self.sparse()

    def heading(self):
        print('%-8s %-5s %-17s %8s %8s %9s %10s   %s' % ('image', 'to', 'what', 'wall s', 'CPU s', 'peak MiB', 'out MiB',
                                                         'ours / this: wall, CPU, out (zlib; libdeflate)'))

    def reference(self, command, path):
        """Size and sha512 of what a rival makes, not timed."""
        digest, size = hashlib.sha512(), 0
        with subprocess.Popen(['bash', '-c', command], stdout=subprocess.PIPE, env=dict(os.environ, FILE=path)) as made:
            for piece in iter(lambda: made.stdout.read(MIB), b''):
                digest.update(piece)
                size += len(piece)
        return {'size': size, 'sha512': digest.hexdigest()}

    def table(self, image, to, path, expected):
        runs = {name: [] for name, _ in self.ours + self.rivals}
        for _round in range(self.options.rounds):
            for name, arguments in self.ours:
                runs[name].append(self.one_of_ours(arguments, to, path))
            for name, command in self.rivals:
                if to == 'null' or shutil.which('curl'):
                    runs[name].append(self.one_rival(command, to, path, expected[name]))
        medians = {name: {key: statistics.median(run[key] for run in made) for key in made[0]}
                   for name, made in runs.items() if made}
        for name, row in medians.items():
            ratios = '' if name.startswith('ours') else '; '.join(
                '%.2f %.2f %.3f' % tuple(medians[one][key] / row[key] for key in ('wall', 'cpu', 'size'))
                for one, _ in self.ours)
            print('%-8s %-5s %-17s %8.2f %8.2f %9.1f %10.2f   %s' % (
                image, to, name, row['wall'], row['cpu'], row['rss'] / MIB, row['size'] / MIB, ratios), flush=True)

    def one_of_ours(self, arguments, to, path):
        command = [self.options.python, '-I', '-S', os.path.join(HERE, 'one.py')] + arguments + [self.urls[to], path]
        row, told = self.measure(command, path)
        if to != 'null':
            self.compare(to, json.loads(told))
        return dict(row, size=json.loads(told)['size'])

    def one_rival(self, command, to, path, expected):
        if to == 'null':
            command += ' > /dev/null'
        else:
            command += ' | curl -sSfk -T - %s/v2/images/benchmark/file > /dev/null' % self.urls[to]
        row, _ = self.measure(['bash', '-o', 'pipefail', '-c', command], path)
        if to != 'null':
            self.compare(to, expected)
        return dict(row, size=expected['size'])

    def measure(self, command, path):
        env = dict(os.environ, FILE=path)
        if self.fingerprint:
            env['SINK_FINGERPRINT'] = self.fingerprint
        return measure(command, env)

    def compare(self, to, sent):
        context = ssl._create_unverified_context() if to == 'tls' else None
        with urllib.request.urlopen(self.urls[to] + '/', context=context) as answer:
            got = json.load(answer)
        if (got['size'], got['os_hash_value']) != (sent['size'], sent['sha512']):
            raise SystemExit('the sink got %s, but %s was sent' % (got, sent))

    def sparse(self):
        path = os.path.join(self.folder, 'sparse.vhd')
        make_zeros(path, self.options.sparse * MIB)
        print('\n%d MiB sparse, to nothing' % self.options.sparse)
        for name, arguments in self.ours:
            row = self.one_of_ours(arguments, 'null', path)
            print('%-14s %8.2f %8.2f %9.1f %10.2f' % (name, row['wall'], row['cpu'], row['rss'] / MIB, row['size'] / MIB))


if __name__ == '__main__':
    main()
