"""sha512 in a thread of its own."""
import hashlib
import threading

from .pythons import queue


class Sha512(object):
    """sha512 of what is sent, in a thread of its own beside compressing and sending."""

    def __init__(self):
        self.sha512 = hashlib.sha512()
        self.pieces = queue.Queue(2)
        self.thread = threading.Thread(target=self.work)
        self.thread.daemon = True
        self.thread.start()

    def work(self):
        for piece in iter(self.pieces.get, None):
            self.sha512.update(piece)

    def update(self, data):
        self.pieces.put(data)

    def hexdigest(self):
        self.close()
        return self.sha512.hexdigest()

    def close(self):
        if self.thread.is_alive():
            self.pieces.put(None)
            self.thread.join()
