"""The protocol with xapi: one call as an argument, one response on standard output."""
import json
import os
import re
import sys

from .errors import describe_unexpected
from .functions import FUNCTIONS
from .release import VERSION
from .secrecy import keep_secret
from .texts import to_text
from .untrusted import read_xml

USAGE = """glance: xensnap's plugin for dom0, version %s

It is executed by xapi. From a shell on a host of the pool:
  xe host-call-plugin host-uuid=UUID plugin=glance fn=version
  xe host-call-plugin host-uuid=UUID plugin=glance fn=status args:params='{"jobId":"UUID"}'
Functions: %s
"""


def run_function(name, args):
    """The response to one call; every failure becomes [CODE, message, "retryable" or "permanent"], and the job's id,
    where it is of one: by it the record of a task is told whose reference was lost."""
    if name not in FUNCTIONS:
        return failure(['UNKNOWN_XENAPI_PLUGIN_FUNCTION', name])
    function, read = FUNCTIONS[name]
    params = {}
    try:
        params = read(args.get('params', ''))
        return success(json.dumps(function(params), sort_keys=True))
    except Exception as exc:
        return failure(describe_unexpected(exc).description() + [params[name] for name in ('jobId',) if name in params])


def success(value):
    return response('Success', 'Value', string_value(value))


def failure(description):
    values = ''.join('<value>%s</value>' % string_value(part) for part in description)
    return response('Failure', 'ErrorDescription', '<array><data>%s</data></array>' % values)


def response(status_name, key, value):
    return ('<?xml version="1.0"?><methodResponse><params><param><value><struct>'
            '<member><name>Status</name><value><string>%s</string></value></member>'
            '<member><name>%s</name><value>%s</value></member>'
            '</struct></value></param></params></methodResponse>' % (status_name, key, value))


def string_value(value):
    text = re.sub(u'[^\t\n\r\x20-\x7f]', in_xml, to_text(value))
    escaped = text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')
    return '<string>%s</string>' % escaped.encode('ascii', 'xmlcharrefreplace').decode('ascii')


def in_xml(match):
    """Not a character class of all that XML may hold: to compile that takes longer than most calls do."""
    char = match.group()
    return char if u'\x80' <= char <= u'\ud7ff' or u'\ue000' <= char <= u'\ufffd' else u'?'


def write_answer(text):
    """A broken standard output (xapi was restarted) is no failure: `status` has the result."""
    data = text.encode('ascii')
    try:
        while data:
            data = data[os.write(1, data):]
    except OSError:
        pass


def main(argv):
    if len(argv) == 2 and argv[1] in ('-h', '--help'):
        sys.stdout.write(USAGE % (VERSION, ', '.join(sorted(FUNCTIONS))))
        return 0
    try:
        call = argv[1] if isinstance(argv[1], bytes) else os.fsencode(argv[1])
        # What is no UTF-8 becomes a character that no field takes, so that the answer can name the field.
        (session, args), name = read_xml(call.decode('utf-8', 'replace').encode('utf-8'))
        keep_secret(session)
        args.get
    except Exception:  # no call of xapi's, so a human: nobody reads an XML answer
        sys.stderr.write(USAGE % (VERSION, ', '.join(sorted(FUNCTIONS))))
        return 2
    write_answer(run_function(name, args))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
