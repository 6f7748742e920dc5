"""What an image holds: a tar of VHDs, and what it says of its VM."""
from .damage import must
from .deflate import BLOCK_BYTES
from .errors import PluginError
from .image_chain import require_numbers
from .layer import open_layer
from .params import MAX_VM_CONFIG_BYTES
from .pythons import steps
from .restored_disk import is_zero, require_room
from .untar import tar_members

MAX_LAYERS = 64  # as bin/unpack; Nova's importer takes 16
MAX_ZEROS_BEHIND = 1 << 28  # after the tar's end: tar fills its last blocks; nobody fills so much
MAX_IGNORED_BYTES = 1 << 40  # of a swap disk, which old images hold


class Found(object):
    """What one pass has found."""

    def __init__(self):
        self.layers = []
        self.names = set()
        self.config = None
        self.warnings = []


def read_image(reader, settling, disk_bytes):
    """Reads all of it: VHDs go where `settling` says."""
    found = Found()
    for name, size in tar_members(reader):
        must(name not in found.names, '%s is there twice', name)
        found.names.add(name)
        if name == 'vm.json':
            read_config(reader, size, found)
            continue
        if name == 'swap.vhd':
            must(size <= MAX_IGNORED_BYTES, 'its swap.vhd is far too large')
            continue
        must(name.endswith('.vhd'), '"%s" does not belong to an image', name)
        must(len(found.layers) < MAX_LAYERS, 'more than %d VHDs are no image', MAX_LAYERS)
        try:
            found.layers.append(read_layer(reader, name, size, settling, disk_bytes))
        except PluginError as exc:
            raise PluginError(exc.code, '%s: %s' % (name, exc.message), exc.retryable)
    require_numbers(found.layers)
    read_zeros(reader)
    return found


def read_layer(reader, name, size, settling, disk_bytes):
    layer = open_layer(reader, name, size)
    require_room(layer.virtual_bytes, disk_bytes)
    disk = settling.disk_for(layer)
    if disk:
        disk.take(layer, reader)
    else:
        for _ in layer.blocks(layer.block_bytes):
            pass
    settling.was_read(layer)
    return layer


def read_config(reader, size, found):
    """It is for whoever makes the VM, who trusts no word of it."""
    must(size <= 1 << 20, 'its vm.json is far too large')
    text = reader.read(size)
    try:
        found.config = text.decode('utf-8') if size <= MAX_VM_CONFIG_BYTES else None
    except UnicodeDecodeError:
        pass
    if found.config is None:
        found.warnings.append('the image\'s vm.json is no text of %d bytes at most, and was passed over' % MAX_VM_CONFIG_BYTES)


def read_zeros(reader):
    """To the end, where gzip's CRC stands."""
    begin = reader.position
    for data, start, end in reader.remaining():
        zeros = all(is_zero(data, start + at, min(start + at + BLOCK_BYTES, end)) for at in steps(end - start, BLOCK_BYTES))
        must(zeros, 'something follows the end of its tar')
        must(reader.position - begin <= MAX_ZEROS_BEHIND, 'far too many zeros follow the end of its tar')
