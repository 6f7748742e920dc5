"""What benchmarks put on disks: this machine's own files, nearly nothing, and noise."""
import os
import random
import shutil

MIB = 1 << 20


def make_mixed(path, size):
    """This machine's own files, one after the other, as a disk has them: programs, text, archives."""
    with open(path, 'wb') as out:
        for folder, folders, names in os.walk('/usr'):
            folders.sort()
            for name in sorted(names):
                one = os.path.join(folder, name)
                if os.path.islink(one) or not os.path.isfile(one) or os.path.getsize(one) > 64 * MIB:
                    continue
                with open(one, 'rb') as source:
                    shutil.copyfileobj(source, out)
                out.write(b'\0' * (-out.tell() % 4096))
                if out.tell() >= size:
                    out.truncate(size)
                    return
        raise SystemExit('/usr has less than %d bytes' % size)


def make_zeros(path, size):
    """A sparse file with 4 KiB of data in every 16 MiB."""
    with open(path, 'wb') as out:
        out.truncate(size)
        for offset in range(0, size, 16 * MIB):
            out.seek(offset)
            out.write(random.Random(offset).getrandbits(32768).to_bytes(4096, 'little'))


def make_random(path, size):
    with open(path, 'wb') as out:
        for _ in range(0, size, MIB):
            out.write(os.urandom(MIB))


MAKERS = {'mixed': make_mixed, 'zeros': make_zeros, 'random': make_random}
