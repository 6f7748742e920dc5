"""Single fields of a tar's headers."""
import binascii

from .damage import damaged, must
from .texts import DIGITS, consists_of

MOST_BYTES_OF_A_FILE = (1 << 53) - 1
OCTAL_DIGITS = frozenset('01234567')


def tar_number(field, what):
    """Octal digits, or, where the first bit is set, the bytes behind it in base 256, as GNU's tar writes sizes from 8 GiB
    on. Nothing at all is 0."""
    first = bytearray(field[:1])[0]
    if first & 0x80:
        must(first == 0x80, '%s is negative or far too large', what)
        number = int(binascii.hexlify(field[1:]), 16)
    else:
        text = field.strip(b' \0').decode('latin-1')
        must(not text or consists_of(text, OCTAL_DIGITS), '%s, "%s", is no octal number', what, text)
        number = int(text or '0', 8)
    must(number <= MOST_BYTES_OF_A_FILE, '%s is far too large', what)
    return number


def tar_text(field):
    return field.split(b'\0', 1)[0].decode('utf-8', 'replace')


def pax_fields(data):
    """`path` and `size` of a pax header, which has records `length key=value`, each with a newline at its end. An
    empty size takes back what stood there before."""
    fields, at = {}, 0
    while at < len(data):
        space = data.find(b' ', at)
        digits = data[at:min(space, at + 10)].decode('latin-1') if space >= 0 else ''
        plain = consists_of(digits, DIGITS) and digits[0] != '0'
        end = at + int(digits) if plain else 0
        if not space < end <= len(data) or data[end - 1:end] != b'\n':
            raise damaged('the tar has a damaged pax header')
        key, equals, value = data[space + 1:end - 1].decode('utf-8', 'replace').partition('=')
        value = value if equals else key
        must(not key.startswith('GNU.sparse.'), 'the tar holds a sparse file: pack it again without tar\'s --sparse')
        if key == 'path':
            fields['path'] = value
        if key == 'size':
            must(not value or consists_of(value, DIGITS), 'a size in a pax header is no number')
            must(len(value) <= 16, 'a size in a pax header is far too large')
            fields['size'] = int(value or '0')
            must(fields['size'] <= MOST_BYTES_OF_A_FILE, 'a size in a pax header is far too large')
            if not value:
                del fields['size']
        at = end
    return fields
