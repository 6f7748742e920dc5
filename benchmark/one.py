"""One bundle by the plugin's own code, in a process of its own; prints its size and sha512 as JSON.
Usage: one.py zlib|libdeflate LEVEL THREADS URL|- FILE"""
import contextlib
import json
import os
import sys
import types

HERE = os.path.dirname(os.path.abspath(__file__))
PLUGIN = os.path.join(os.path.dirname(HERE), 'plugin', 'glance')


def load_plugin():
    plugin = types.ModuleType('plugin')
    with open(PLUGIN, encoding='utf-8') as source:
        exec(compile(source.read(), PLUGIN, 'exec'), plugin.__dict__)
    return plugin


class NoVhd:
    """What of a VHD the tar needs to know."""

    class footer:
        modified = staticmethod(lambda: 0)


def pieces_of(plugin, library, level, threads, path):
    """The chain's own reading code, over a file that is no VHD."""
    source = plugin.ChainSource()
    source.files.append(plugin.ChainFile(path))
    source.files[0].vhd = NoVhd
    libraries = plugin.load_libraries(library == 'libdeflate')
    return plugin.bundle(source, plugin.GzipCompressor(level, threads, libraries=libraries), lambda size: None)


def upload(plugin, url, pieces, count_sent):
    params = {'glanceUrl': plugin.GlanceUrl(url), 'imageId': 'benchmark', 'caPem': None, 'timeoutSeconds': 90,
              'fingerprint': os.environ.get('SINK_FINGERPRINT')}
    trouble = plugin.send_data(plugin.Glance(params, None, plugin.never_stop), pieces, lambda: None, count_sent)
    if trouble:
        raise SystemExit('the sink did not answer: %s' % trouble)


def main():
    library, level, threads, url, path = sys.argv[1:]
    plugin, size = load_plugin(), 0
    with contextlib.closing(plugin.Sha512()) as sent:
        def count_sent(piece):
            nonlocal size
            size += len(piece)
            sent.update(piece)

        with contextlib.closing(pieces_of(plugin, library, int(level), int(threads), path)) as pieces:
            if url == '-':
                for piece in pieces:
                    count_sent(piece)
            else:
                upload(plugin, url, pieces, count_sent)
        print(json.dumps({'size': size, 'sha512': sent.hexdigest()}))


main()
