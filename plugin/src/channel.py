"""Pieces of bytes on their way from one thread to another."""
import collections
import threading

from .timing import WATCH_EVERY_SECONDS


class Left(Exception):
    """The other end has given up; why, it says itself."""


class Channel(object):
    """Holds `most_bytes` at most, or one piece that is larger. Either end may leave, which ends the wait of the other."""

    def __init__(self, most_bytes):
        self.most_bytes = most_bytes
        self.pieces = collections.deque()
        self.held = 0
        self.ended = False
        self.left = False
        self.turn = threading.Condition()

    def put(self, piece, watch=None):
        """`watch` is called at least every 0.2 s of waiting, and may raise to stop. The main thread needs it: in one that
        waits without a limit, Python runs no handler of a signal."""
        with self.turn:
            while self.held and self.held + len(piece) > self.most_bytes and not self.left:
                self.turn.wait(WATCH_EVERY_SECONDS if watch else None)
                if watch:
                    watch()
            if self.left:
                raise Left()
            self.pieces.append(piece)
            self.held += len(piece)
            self.turn.notify()

    def end(self):
        """Nothing more will come."""
        with self.turn:
            self.ended = True
            self.turn.notify()

    def leave(self):
        with self.turn:
            self.left = True
            self.pieces.clear()
            self.turn.notify_all()

    def take(self):
        """The next piece; None at the end."""
        with self.turn:
            while not self.pieces and not self.ended and not self.left:
                self.turn.wait()
            if self.left:
                raise Left()
            if not self.pieces:
                return None
            piece = self.pieces.popleft()
            self.held -= len(piece)
            self.turn.notify()
            return piece
