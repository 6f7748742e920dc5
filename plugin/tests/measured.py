"""Runs in a process of its own, and prints its peak of memory in KiB, and what came of it:

`measured.py settled PATH`: one sector in each eighth block of 2,040 GiB is settled, of three layers. The data of that would take
hours to inflate.
`measured.py image PATH`: the image in the file is restored.
"""
import io
import os
import sys
import types

HERE = os.path.dirname(os.path.abspath(__file__))
LARGEST = 2040 << 30


def load():
    plugin = types.ModuleType('plugin')
    path = os.path.join(HERE, '..', 'glance')
    with io.open(path, 'rb') as source:
        exec(compile(source.read(), path, 'exec'), plugin.__dict__)
    return plugin


class Zeros(object):
    """A stream of nothing else, without an end."""

    position = 0
    content = b'\0' * 512

    def skip(self, length):
        self.position += length

    def parts(self, length):
        self.position += length
        return [(self.content, 0, length)]


def settled(plugin, disk, _path):
    blocks = LARGEST >> 21  # of which each eighth takes four times the bits that are kept in memory
    disk.begin(LARGEST, 1 << 21)
    stream = Zeros()
    for layer, step in enumerate((8, 200, 200)):
        bits = bytearray(512)
        bits[layer * 7] = 0x10
        for number in plugin.steps(blocks, step):
            disk.settle(stream, number, 4096, bytes(bits))
    counts = [bin(disk.settled.mask(number)).count('1') for number in (0, 1, 8, blocks // 200 * 200)]
    return 'spilt' if counts == [3, 0, 1, 3] and disk.settled.file is not None else str(counts)


def image(plugin, disk, path):
    def pieces():
        with io.open(path, 'rb') as data:
            for piece in iter(lambda: data.read(1 << 18), b''):
                yield piece
    order = plugin.InOrder(disk)
    try:
        plugin.Pipeline(lambda reader: plugin.read_image(reader, order, LARGEST), True).run(pieces(), plugin.never_stop)
    except plugin.PluginError as exc:
        return exc.code


def main(what, path):
    plugin = load()
    with io.open(path + '.disk', 'wb') as out:
        out.truncate(LARGEST)
    writer = plugin.DiskWriter(path + '.disk', plugin.RateLimit(None), lambda _size: None)
    disk = plugin.RestoredDisk(writer, 'skip')
    came = {'settled': settled, 'image': image}[what](plugin, disk, path)
    disk.close()
    writer.close()
    with io.open('/proc/self/status') as status:
        print('%s %s' % ([line.split()[1] for line in status if line.startswith('VmHWM')][0], came))


if __name__ == '__main__':
    main(*sys.argv[1:])
