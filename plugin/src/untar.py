"""The files of a tar, as it comes: v7, ustar, GNU and pax, as Nova's hosts and Python's tarfile write them."""
from .damage import damaged, must
from .tar_fields import OCTAL_DIGITS, pax_fields, tar_number, tar_text
from .texts import consists_of

RECORD_BYTES = 512
MAX_EXTRA_BYTES = 1 << 20  # of a long name or a pax header
MAX_TAR_HEADERS = 1000  # of all kinds: an image has some twenty
MAX_NAME_CHARS = 255  # names are kept, and told
EMPTY_RECORD = b'\0' * RECORD_BYTES
KINDS = {b'1': 'a hard link', b'2': 'a symbolic link', b'3': 'a device', b'4': 'a device', b'5': 'a folder',
         b'6': 'a pipe', b'S': 'a sparse file'}


def tar_members(reader):
    """(name, size) of each plain file, without `./`. Whoever gets it may read so many bytes before the next; what is left
    of them is passed over. Anything but a plain file in the tar's root folder is refused."""
    of_all, of_next = {}, {}
    for _ in range(MAX_TAR_HEADERS):
        header = reader.read(RECORD_BYTES)
        if header == EMPTY_RECORD:
            return
        require_checksum(header)
        kind, size = header[156:157], tar_number(header[124:136], 'a size in the tar')
        if kind in (b'x', b'g', b'L', b'K'):
            must(size <= MAX_EXTRA_BYTES, 'the tar has a header that is far too large')
            data = reader.read(size)
            reader.skip(-size % RECORD_BYTES)
            if kind == b'L':
                of_next['path'] = tar_text(data)
            elif kind != b'K':  # which has a link's aim
                (of_all if kind == b'g' else of_next).update(pax_fields(data))
            continue
        told, of_next = dict(of_all, **of_next), {}
        size = told.get('size', size)
        name = plain_name(told.get('path', name_in(header)), kind)
        end = reader.position + size + -size % RECORD_BYTES
        if name:
            yield name, size
        reader.skip(end - reader.position)
    raise damaged('its tar has more than %d headers' % MAX_TAR_HEADERS)


def require_checksum(header):
    stored = tar_text(header[148:156]).strip()
    good = consists_of(stored, OCTAL_DIGITS) and sum(bytearray(header[:148] + b' ' * 8 + header[156:]))
    must(good and good == int(stored, 8), 'a header of its tar has a wrong checksum')


def name_in(header):
    """Only ustar has a second field for what is in front of a name; GNU keeps times there."""
    name = tar_text(header[:100])
    prefix = tar_text(header[345:500]) if header[257:263] == b'ustar\0' else ''
    return '%s/%s' % (prefix, name) if prefix else name


def plain_name(full, kind):
    """The name of a plain file in the root folder; empty for that folder itself."""
    must(len(full) <= MAX_NAME_CHARS, 'a name in its tar is far too long')
    name = full
    while name.startswith('./'):
        name = name[1:].lstrip('/')
    name = '' if name == '.' else name
    must(not full.startswith('/') and '..' not in name.split('/'), '"%s" leads out of its tar', full)
    is_folder = kind == b'5' or name.endswith('/')
    if is_folder and not name:
        return ''
    must(not is_folder and kind in (b'0', b'\0', b'7'), '"%s" is %s', full,
         KINDS.get(b'5' if is_folder else kind, 'no plain file'))
    must(name, 'a file in its tar has no name')
    must('/' not in name, '"%s" is in a folder', full)
    return name
