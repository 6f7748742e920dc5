"""A stretch of what is sent, and how long one is."""

CHUNK_BYTES = 1 << 20  # what one thread reads and compresses at a time; part of the format: same bytes, same chunks


class Chunk(object):
    """A stretch of the tar stream. `fill(view)` puts its bytes into a buffer, in a compressor's thread,
    or says by returning true that they are zeros."""

    def __init__(self, size, fill, part=None):
        self.size = size
        self.fill = fill
        self.part = part  # the source's file that it is read from
        self.done = False
        self.trouble = None
        self.deflated = None
        self.crc = 0


def literal(data):
    def fill(view):
        view[:] = data
    return Chunk(len(data), fill)
