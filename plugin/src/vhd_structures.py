"""A VHD's constants, checksums and footer."""
import struct
import time

from .timing import timestamp

VHD_DYNAMIC, VHD_DIFFERENCING, VHD_FIXED = 3, 4, 2
VHD_EPOCH = 946684800  # 2000-01-01, from which a footer counts
EARLIEST_TIME = VHD_EPOCH + 24 * 3600
CLOCK_SLACK_SECONDS = 1800  # of vhd-util check (TIMESTAMP_MAX_SLACK)
BLOCK_SECTORS = 4096  # 2 MiB, the only size that libvhd itself writes
BLOCK_STRIDE = BLOCK_SECTORS + 1  # a sector of bitmap comes before the data
UNUSED = 0xffffffff
MAP_PIECE_BYTES = 1 << 16
MAX_VHD_BYTES = 2040 << 30  # max_vhd_size of xapi's constants.ml
MAX_MAP_ENTRIES = 1 << 21


def has_checksum(block, at):
    stored = struct.unpack('>I', block[at:at + 4])[0]
    return ~sum(bytearray(block[:at] + block[at + 4:])) & 0xffffffff == stored


def not_hidden(footer):
    """The first tools of Xen hid a base copy without another checksum, in one of its two footers (libvhd.c,
    vhd_validate_footer)."""
    if footer[28:31] == b'tap' and footer[32:36] == b'\0\1\0\1':
        return footer[:85] + b'\0' + footer[86:]
    return footer


def is_footer(block):
    if len(block) < 512 or not block.startswith(b'conectix'):
        return False
    return has_checksum(block, 64) or has_checksum(not_hidden(block), 64)


def largest_geometry(virtual_bytes):
    """Cylinders, heads and sectors of a disk as the specification works them out, which vhd-util takes as the most."""
    sectors = min(-(-virtual_bytes // 512), 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        per_track, heads = 255, 16
    else:
        per_track = 17
        heads = max((sectors // per_track + 1023) // 1024, 4)
        if sectors // per_track >= heads * 1024 or heads > 16:
            per_track, heads = 31, 16
        if sectors // per_track >= heads * 1024:
            per_track, heads = 63, 16
    return sectors // per_track // heads << 16 | heads << 8 | per_track


class Footer(object):
    """What the 512 bytes say that end a VHD, and begin all but fixed ones."""

    def __init__(self, block):
        self.block = block
        self.header_at, self.created = struct.unpack('>QI', block[16:28])
        self.virtual_bytes, self.geometry, self.kind = struct.unpack('>QII', block[48:64])
        self.uuid = block[68:84]
        self.hidden = block[85:86] == b'\x01'  # blktap's own field, set on base copies

    def modified(self):
        """For the file's entry in the tar. Nova's importer takes it for the parent's time, and refuses what is in
        its future. This one lies in the file, so that it refuses no more than it does anyway."""
        created = VHD_EPOCH + self.created
        return created if EARLIEST_TIME <= created <= time.time() else EARLIEST_TIME

    def oddities(self, name):
        """Why Nova's importer (vhd-util check) will refuse what holds this file, for the operator."""
        if VHD_EPOCH + self.created > time.time() + CLOCK_SLACK_SECONDS:
            yield ('%s says that it was created in the future (%s): OpenStack\'s importer refuses it until then; look '
                   'at the clocks of the pool\'s hosts' % (name, timestamp(VHD_EPOCH + self.created)))
        if largest_geometry(self.virtual_bytes) < self.geometry:
            yield ('%s has a geometry larger than its disk, as qemu-img makes it with force_size: OpenStack\'s '
                   'importer refuses it' % name)
