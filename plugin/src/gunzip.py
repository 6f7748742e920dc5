"""What is downloaded, in pieces of one size; a gzip is inflated as it comes."""
import zlib

from .damage import damaged

PIECE_BYTES = 1 << 18  # at a time: however much a gzip comes to, no more of it is in memory


class Gunzip(object):
    """Of one member or several. Each must be whole, with the CRC and the length that it ends with, and nothing may follow."""

    def __init__(self):
        self.inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self.held, self.held_bytes = [], 0

    def pieces(self, data):
        while data:
            try:
                plain = self.inflate.decompress(data, PIECE_BYTES - self.held_bytes)
            except zlib.error as exc:
                raise self.explained(exc)
            self.held.append(plain)
            self.held_bytes += len(plain)
            if self.held_bytes == PIECE_BYTES:
                yield self.joined()
            data = self.inflate.unconsumed_tail
            if self.inflate.unused_data:  # the member has ended; Python 2.7 has no other sign of it
                data = self.inflate.unused_data
                if not data.startswith(b'\x1f'):
                    raise damaged('something follows the end of its gzip')
                self.inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def joined(self):
        pieces, self.held, self.held_bytes = self.held, [], 0
        return pieces[0] if len(pieces) == 1 else b''.join(pieces)

    def finish(self):
        """The rest, once all has come."""
        try:
            self.held.append(self.inflate.decompress(b'\0'))  # which is kept apart where it follows the end
        except zlib.error as exc:
            raise self.explained(exc)
        if not self.inflate.unused_data:
            raise damaged('it is cut off in the middle of its gzip')
        return self.joined()

    @staticmethod
    def explained(exc):
        if 'incorrect header check' in str(exc):
            return damaged('it is no gzip (an image with disk_format raw is the disk itself)')
        return damaged('its gzip is damaged (%s)' % exc)


class Regroup(object):
    """The same for what is no gzip."""

    def __init__(self):
        self.held = b''

    def pieces(self, data):
        self.held += data
        whole = len(self.held) - len(self.held) % PIECE_BYTES
        if whole:
            yield self.held[:whole]
            self.held = self.held[whole:]

    def finish(self):
        return self.held
