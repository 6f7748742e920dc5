"""Which sectors of a disk are settled: a bit for each of those in blocks that are settled in part."""
import array
import binascii
import errno
import os

from .dom0 import dom0_path
from .errors import PluginError

ALL_SETTLED = 0xffffffff
MEMORY_BYTES = 12 << 20  # of bits; of a chain of 2,040 GiB they may be 510 MiB
BITS_BYTES = 1 << 18  # a multiple of any block's bits
SPILL_FOLDERS = ('/var/tmp', '/tmp')  # on dom0's disk: /var/run is memory


class Settled(object):
    """Masks of blocks' sectors: a number of as many bits as a block has sectors, whose highest bit is its first sector.
    What does not fit into memory lies in a file that has no name."""

    def __init__(self, blocks, sectors):
        self.bytes = sectors // 8
        self.all = (1 << sectors) - 1
        self.slots = array.array('I', [0]) * blocks  # 0: nothing; ALL_SETTLED; else 1 + where its bits are
        self.free = array.array('I')
        self.used = 0
        self.memory = []  # in pieces: what grows may have to be copied, and then is there twice
        self.file = None

    def mask(self, number):
        slot = self.slots[number]
        if slot == 0 or slot == ALL_SETTLED:
            return self.all if slot else 0
        return int(binascii.hexlify(self.read((slot - 1) * self.bytes)), 16)

    def settle(self, number, mask):
        """`mask` has all that was settled of the block before, too."""
        slot = self.slots[number]
        if mask == self.all:
            if slot not in (0, ALL_SETTLED):
                self.free.append(slot)
            self.slots[number] = ALL_SETTLED
            return
        if not slot:
            self.used += 0 if self.free else 1
            slot = self.slots[number] = self.free.pop() if self.free else self.used
        self.write((slot - 1) * self.bytes, binascii.unhexlify(('%0*x' % (2 * self.bytes, mask)).encode('ascii')))

    def read(self, at):
        if at < MEMORY_BYTES:
            piece, at = self.memory[at // BITS_BYTES], at % BITS_BYTES
            return bytes(piece[at:at + self.bytes])
        os.lseek(self.file, at - MEMORY_BYTES, os.SEEK_SET)
        return os.read(self.file, self.bytes)

    def write(self, at, bits):
        if at < MEMORY_BYTES:
            if at // BITS_BYTES == len(self.memory):
                self.memory.append(bytearray(BITS_BYTES))
            piece, at = self.memory[at // BITS_BYTES], at % BITS_BYTES
            piece[at:at + self.bytes] = bits
            return
        try:
            if self.file is None:
                self.file = nameless_file()
            os.lseek(self.file, at - MEMORY_BYTES, os.SEEK_SET)
            if os.write(self.file, bits) == len(bits):
                return
            why = 'it is full'
        except OSError as exc:
            why = exc.strerror
        raise PluginError('NO_ROOM_IN_DOM0', 'the bits of settled sectors cannot be kept in dom0\'s %s: %s'
                          % (' or '.join(SPILL_FOLDERS), why), True)

    def close(self):
        if self.file is not None:
            os.close(self.file)
            self.file = None


def nameless_file():
    """Gone with the process, however that ends."""
    for folder in SPILL_FOLDERS:
        path = os.path.join(dom0_path(folder), '.xensnap-%d-%s' % (os.getpid(), binascii.hexlify(os.urandom(8)).decode('ascii')))
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as exc:
            trouble = exc
            if exc.errno not in (errno.ENOENT, errno.EROFS):
                break
            continue
        os.unlink(path)
        return file
    raise trouble
