"""The CRC of two stretches from those of each."""


class CrcJoiner(object):
    """crc32_combine of zlib, which Python's module lacks: the CRC of two stretches from those of each."""

    def __init__(self):
        one_bit = [0xedb88320] + [1 << bit for bit in range(31)]  # a zero bit more, as a matrix over GF(2)
        self.powers = [self.square(self.square(self.square(one_bit)))]  # for 1, 2, 4... zero bytes more

    def join(self, first, second, second_bytes):
        power = 0
        while second_bytes:
            if power == len(self.powers):
                self.powers.append(self.square(self.powers[-1]))
            if second_bytes & 1:
                first = self.times(self.powers[power], first)
            second_bytes >>= 1
            power += 1
        return first ^ second

    @staticmethod
    def times(matrix, vector):
        total, row = 0, 0
        while vector:
            if vector & 1:
                total ^= matrix[row]
            vector >>= 1
            row += 1
        return total

    def square(self, matrix):
        return [self.times(matrix, row) for row in matrix]
