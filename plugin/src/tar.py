"""A source as a tar of VHD files."""
import struct

from .chunk import Chunk, literal


def tar_header(name, size, modified):
    """A GNU tar header, the same bytes on every run and interpreter; sizes from 8 GiB in base 256."""
    if size < 8 ** 11:
        size_field = ('%011o' % size).encode('ascii') + b'\0'
    else:
        size_field = b'\x80\0\0\0' + struct.pack('>Q', size)
    header = bytearray(512)
    header[0:len(name)] = name.encode('ascii')
    header[100:108] = b'0000644\0'
    header[108:116] = header[116:124] = b'0000000\0'
    header[124:136] = size_field
    header[136:148] = ('%011o' % modified).encode('ascii') + b'\0'
    header[148:156] = b' ' * 8
    header[156:157] = b'0'
    header[257:265] = b'ustar  \0'
    header[148:156] = ('%06o' % sum(header)).encode('ascii') + b'\0 '
    return bytes(header)


VM_CONFIG_NAME = 'vm.json'


def tar_chunks(source, vm_config=None):
    """The tar of 0.vhd (leaf) to N-1.vhd (base), and before these of what VM it was, if that is told. Nova's importer
    looks at *.vhd alone."""
    written = 0
    if vm_config is not None:
        padding = -len(vm_config) % 512
        yield literal(tar_header(VM_CONFIG_NAME, len(vm_config), source.files[0].modified)
                      + vm_config + b'\0' * padding)
        written += 512 + len(vm_config) + padding
    for number, part in enumerate(source.files):
        yield literal(tar_header('%d.vhd' % number, part.size, part.modified))
        for size, fill in source.reads(part):
            yield Chunk(size, fill, part)
        padding = -part.size % 512
        if padding:
            yield literal(b'\0' * padding)
        written += 512 + part.size + padding
    yield literal(b'\0' * (1024 + -(written + 1024) % 10240))
