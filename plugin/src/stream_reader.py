"""Bytes that come one after the other and are read once."""
from .damage import damaged


class StreamReader(object):
    """`take()` gives the next piece, as `bytes`, or None at the end."""

    def __init__(self, take):
        self.take = take
        self.piece = b''
        self.at = 0
        self.position = 0  # how many have been read or passed over

    def parts(self, length):
        """The next `length` bytes as (data, begin, end), without copying them."""
        while length:
            if self.at == len(self.piece) and not self.more():
                raise damaged('it is cut off: unpacked, it ends after %d bytes, where more were due' % self.position)
            begin, self.at = self.at, min(self.at + length, len(self.piece))
            length -= self.at - begin
            self.position += self.at - begin
            yield self.piece, begin, self.at

    def read(self, length):
        pieces = [data[begin:end] for data, begin, end in self.parts(length)]
        return pieces[0] if len(pieces) == 1 else b''.join(pieces)

    def read_long(self, length):
        """As a bytearray, which is there only once."""
        found, at = bytearray(length), 0
        for data, begin, end in self.parts(length):
            found[at:at + end - begin] = data[begin:end]
            at += end - begin
        return found

    def give_back(self, data):
        """What was read last is read again."""
        self.piece, self.at = data + self.piece[self.at:], 0
        self.position -= len(data)

    def skip(self, length):
        for _ in self.parts(length):
            pass

    def remaining(self):
        """What is left, as (data, begin, end)."""
        while self.at < len(self.piece) or self.more():
            begin, self.at = self.at, len(self.piece)
            self.position += self.at - begin
            yield self.piece, begin, self.at

    def more(self):
        """False at the end."""
        self.piece, self.at = b'', 0
        while not self.piece:
            piece = self.take()
            if piece is None:
                return False
            self.piece = piece
        return True
