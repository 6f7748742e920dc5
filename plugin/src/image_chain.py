"""The order of an image's VHDs, by what each says of its parent: names say nothing of it in the oldest images."""
from .damage import damaged, must
from .texts import DIGITS, consists_of, without_ending


def chain_of(layers):
    """The layers, leaf first; they must be one chain."""
    must(layers, 'it holds no VHD')
    by_uuid = {}
    for layer in layers:
        other = by_uuid.setdefault(layer.uuid, layer)
        must(other is layer, '%s and %s are the same disk, %s', layer.name, other.name, layer.uuid)
    for layer in layers:
        must(not layer.parent_uuid or layer.parent_uuid in by_uuid, 'the parent of %s, %s, is missing', layer.name,
             layer.parent_uuid)
    parents = set(layer.parent_uuid for layer in layers)
    leaves = [layer for layer in layers if layer.uuid not in parents]
    must(leaves, 'its VHDs are parents of each other')
    if len(leaves) > 1:
        raise damaged('%s and %s are two disks, and not one chain' % (leaves[0].name, leaves[1].name))
    chain = leaves
    while chain[-1].parent_uuid:
        parent = by_uuid[chain[-1].parent_uuid]
        must(len(chain) < len(layers), 'its VHDs are parents of each other')
        must(parent.fixed or parent.block_bytes == chain[0].block_bytes,
             'the blocks of %s have another size than those of %s', parent.name, chain[0].name)
        chain.append(parent)
    must(len(chain) == len(layers), 'its VHDs are not one chain')
    return chain


def number_in(name):
    """Of N.vhd, which ours and Nova's are called; else None."""
    digits = without_ending(name, '.vhd')
    return int(digits) if consists_of(digits, DIGITS) and len(digits) < 5 and digits == str(int(digits)) else None


def require_numbers(layers):
    """Nothing is missing between them. One alone may be called anything."""
    numbers = sorted(number_in(layer.name) for layer in layers if number_in(layer.name) is not None)
    must(len(layers) == 1 or numbers == list(range(len(numbers))), 'of its VHDs, it holds the numbers %s',
         ', '.join(map(str, numbers)))


class InOrder(object):
    """A first pass, which takes what comes for a chain, leaf first, as long as it is one."""

    def __init__(self, disk):
        self.disk = disk
        self.holds = True  # all that came was the chain in its order
        self.last = None

    def disk_for(self, layer):
        """None where it is not its turn."""
        # A number says that others should have come before. No other name says anything.
        late = self.last is None and number_in(layer.name)
        self.holds = self.holds and not late and (layer.uuid is None or self.is_next(layer))
        if not self.holds:
            return None
        if self.last is None:
            self.disk.begin(layer.virtual_bytes, layer.block_bytes)
        return self.disk

    def was_read(self, layer):
        self.holds = self.holds and self.is_next(layer)
        self.last = layer

    def is_next(self, layer):
        return self.last is None or self.last.parent_uuid == layer.uuid

    def is_done(self):
        return self.holds


class Told(object):
    """Further passes, for a chain whose order is known: each takes at least the layer that is due."""

    def __init__(self, disk, chain):
        self.disk, self.names = disk, [layer.name for layer in chain]
        disk.begin(chain[0].virtual_bytes, chain[0].block_bytes)

    def disk_for(self, layer):
        return self.disk if self.names[:1] == [layer.name] else None

    def was_read(self, layer):
        if self.names[:1] == [layer.name]:
            self.names.pop(0)

    def is_done(self):
        return not self.names
