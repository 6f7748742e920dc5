"""Bundles that somebody has changed: each is refused by its code, or gives the disk that it holds."""
import collections
import io
import os
import shutil
import sys
import tempfile
import unittest

from mutated_bundles import DISK_BYTES, Bundle, disk_in, restore
from support import load_plugin

RUNS = int(os.environ.get('XENSNAP_MUTATED_RUNS', '300'))
FIRST = int(os.environ.get('XENSNAP_MUTATED_FIRST', '1'))


class MutatedTest(unittest.TestCase):
    def setUp(self):
        self.plugin = load_plugin()
        self.plugin.BlockDevice.sync = lambda _device: None
        folder = '/dev/shm' if os.path.isdir('/dev/shm') else None
        self.folder = tempfile.mkdtemp(prefix='xensnap-mutated-', dir=folder)
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, 'disk')

    def test_each_is_refused_or_right(self):
        outcomes = collections.Counter()
        for seed in range(FIRST, FIRST + RUNS):
            bundle = Bundle(seed)
            with io.open(self.path, 'wb') as out:
                out.truncate(DISK_BYTES)
            try:
                result = restore(self.plugin, bundle.data, self.path)
            except self.plugin.PluginError as exc:
                outcomes[exc.code] += 1
                self.assertFalse(bundle.sound, '%d: %s' % (seed, exc.message))
                self.assertIn(exc.code, ('IMAGE_DAMAGED', 'VDI_TOO_SMALL'), '%d: %s' % (seed, exc.message))
            else:
                outcomes['sound' if bundle.sound else 'right'] += 1
                with io.open(self.path, 'rb') as disk:
                    found = disk.read()
                expected = disk_in(bundle.data)
                self.assertEqual(result['virtualBytes'], len(expected), seed)
                self.assertTrue(found == expected.ljust(DISK_BYTES, b'\0'), 'another disk of seed %d' % seed)
            self.assertEqual(os.listdir(self.folder), ['disk'], seed)
            self.assertEqual(os.path.getsize(self.path), DISK_BYTES, seed)
        sys.stderr.write('%d bundles from seed %d on: %s\n' % (RUNS, FIRST, dict(outcomes)))
        if RUNS >= 300:
            self.assertGreater(min(outcomes['sound'], outcomes['right'], outcomes['IMAGE_DAMAGED']), 10)


if __name__ == '__main__':
    unittest.main()
