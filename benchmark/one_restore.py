"""One image into one disk by the plugin's own code, in a process of its own, all proofs and the flush included; prints what
came of it as JSON. Usage: one_restore.py URL SIZE SHA512 DISK"""
import json
import os
import sys
import types

HERE = os.path.dirname(os.path.abspath(__file__))
PLUGIN = os.path.join(os.path.dirname(HERE), 'plugin', 'glance')


class Files:
    """The files of a job that nobody else looks at."""

    @staticmethod
    def cancel_asked():
        return False

    @staticmethod
    def write(_state):
        pass


def main(url, size, sha512, path):
    plugin = types.ModuleType('plugin')
    with open(PLUGIN, encoding='utf-8') as source:
        exec(compile(source.read(), PLUGIN, 'exec'), plugin.__dict__)
    work = plugin.Restore(Files(), {
        'imageId': 'benchmark', 'vdiUuid': '', 'jobId': '', 'format': 'vhd', 'sizeBytes': int(size), 'sha512': sha512,
        'readsAsZeros': True, 'maxBytesPerSecond': None, 'glanceUrl': plugin.GlanceUrl(url), 'caPem': None, 'timeoutSeconds': 90,
        'fingerprint': os.environ.get('SOURCE_FINGERPRINT')})
    work.writer = plugin.DiskWriter(path, work.write_limit, work.count_written)
    work.disk = plugin.RestoredDisk(work.writer, plugin.SKIP_ZEROS)
    result = work.transfer(plugin.Glance(work.params, None, plugin.never_stop))
    work.finish()
    work.close()
    print(json.dumps(result))


main(*sys.argv[1:])
