"""JSON and XML that anybody may have written."""
import json

from .pythons import xmlrpclib

MAX_JSON_CONTAINERS = 20000  # an empty {} of 2 bytes takes Python 280: so many take 6 MB; an image has a few
MAX_DIGITS = 40  # Python 2.7 and 3.6 take minutes for a number of a million digits


def read_json(text):
    """JSON that anybody may have written, in bounded time and memory if the text is bounded. A number that is too long is
    read as infinity, which no field takes, so that the field can be named. Raises ValueError."""
    if text.count('[') + text.count('{') > MAX_JSON_CONTAINERS:
        raise ValueError('it has more than %d lists and objects' % MAX_JSON_CONTAINERS)
    try:
        return json.loads(text, parse_int=json_number(int), parse_float=json_number(float))
    except RuntimeError:  # RecursionError, which Python 2.7 has no name for
        raise ValueError('it is nested too deeply')


def json_number(kind):
    def read(digits):
        return kind(digits) if len(digits) <= MAX_DIGITS else float('inf')
    return read


class XmlReader(xmlrpclib.Unmarshaller):
    """xmlrpclib's, but without what makes a short text long: a DOCTYPE (entities; xapi sends none) and endless numbers."""

    NUMBERS = frozenset(('int', 'i1', 'i2', 'i4', 'i8', 'biginteger', 'double', 'bigdecimal', 'boolean'))

    def start(self, tag, attributes):
        self.length = 0
        return xmlrpclib.Unmarshaller.start(self, tag, attributes)

    def data(self, text):
        self.length += len(text)
        return xmlrpclib.Unmarshaller.data(self, text)

    def end(self, tag):
        if tag in self.NUMBERS and self.length > MAX_DIGITS:
            raise ValueError('a number is too long')
        return xmlrpclib.Unmarshaller.end(self, tag)


def read_xml(data):
    """(values, method) of an XML-RPC call or answer. Raises whatever expat and xmlrpclib raise, which have no common
    class."""
    target = XmlReader()
    parser = xmlrpclib.ExpatParser(target)
    parser._parser.StartDoctypeDeclHandler = no_doctype
    parser.feed(data)
    parser.close()
    return target.close(), target.getmethodname()


def no_doctype(*_what):
    raise ValueError('a DOCTYPE')
