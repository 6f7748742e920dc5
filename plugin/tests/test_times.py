"""The times of the tar's entries, and what Nova's importer makes of them: `vhd-util modify -p` copies a parent's, and
`check` refuses what lies in the future of the machine that imports (blktap, vhd-util-check.c)."""
import io
import os
import tarfile
import time
import unittest
import uuid

from support import PluginTest

from src.vhd_structures import largest_geometry
from vhd_files import flat_vhd, write_vhd

EPOCH = 946684800
SLACK = 1800
DAY = 24 * 3600
YEAR = 365 * DAY


class CreatedTest(PluginTest):
    def created(self, *times):
        """A chain whose files say that they were created then, the leaf first."""
        self.a_template(chain=len(times))
        parent, name = None, u''
        for number in reversed(range(len(times))):
            parent = write_vhd(self.path(number), {0: os.urandom(65536)}, parent, name, hidden=number > 0,
                               created=int(times[number] - EPOCH) & 0xffffffff)
            name = u'%s.vhd' % self.uuids[number]
        self.job, self.glance = str(uuid.uuid4()), self.a_glance()

    def entries(self):
        with tarfile.open(fileobj=io.BytesIO(self.glance.data), mode='r|gz') as bundle:
            return [member.mtime for member in bundle]

    def assert_imported(self, now):
        """By a machine where it is then."""
        for modified in self.entries()[1:]:
            parent_time = (modified - EPOCH) & 0xffffffff
            self.assertLessEqual(parent_time, (now - EPOCH) + SLACK)


class TimesTest(CreatedTest):
    def test_five_layers_are_taken_today_by_a_clock_that_is_a_day_behind_and_after_a_year(self):
        now = time.time()
        times = [now - 60, now - 2 * DAY, now - 30 * DAY, now - 300 * DAY, now - 3 * YEAR]
        self.created(*times)
        self.put()
        self.assertEqual(self.entries(), [int(one) for one in times])
        for clock in (now, now - DAY, now + YEAR):
            self.assert_imported(clock)

    def test_the_files_own_times_do_not_count(self):
        """A base copy's is of the snapshot, when it was hidden; the server's clock may be ahead; and Python 2.7 reads
        other parts of a second than others do."""
        self.created(*[EPOCH + 10 * YEAR] * 3)
        made = []
        for modified in (0, 1000000000.5, time.time() + YEAR):
            for number in range(3):
                os.utime(self.path(number), (modified, modified))
            made.append(self.put()['sha512'])
            self.assert_imported(time.time() - DAY)
            self.job, self.glance = str(uuid.uuid4()), self.a_glance()
        self.assertEqual(len(set(made)), 1)

    def test_a_time_that_cannot_be_becomes_the_earliest_that_can(self):
        now = time.time()
        for created in (EPOCH, EPOCH + DAY - 1, EPOCH + 0xffffffff, now + 3600):
            self.created(now - DAY, created)
            self.put()
            self.assertEqual(self.entries()[1], EPOCH + DAY)
            self.assert_imported(now - DAY)
        self.created(now - DAY, EPOCH + DAY)
        self.put()
        self.assertEqual(self.entries()[1], EPOCH + DAY)

    def test_an_export_has_a_time_too(self):
        self.a_template(sr_type='lvm')
        self.xapi.export.data = flat_vhd({0: b'x' * 512})
        made = []
        for _ in range(2):
            self.job, self.glance = str(uuid.uuid4()), self.a_glance()
            made.append(self.put()['sha512'])
            self.assertEqual(self.entries(), [EPOCH + 700000000])
        self.assertEqual(len(set(made)), 1)


class WarningTest(CreatedTest):
    def test_a_vhd_that_was_created_in_the_future(self):
        self.created(time.time() - DAY, time.time() + DAY, time.time() + 600)
        warnings = self.put()['warnings']
        self.assertEqual(len(warnings), 1)
        self.assertIn('%s.vhd says that it was created in the future' % self.uuids[1], warnings[0])
        self.assertIn(time.strftime('%Y-%m-%d', time.gmtime(time.time() + DAY)), warnings[0])
        self.assertEqual(self.status()['result']['warnings'], warnings)

    def test_a_geometry_larger_than_the_disk(self):
        self.a_template(chain=1)
        write_vhd(self.path(0), {}, geometry=0xffff10ff)
        self.assertIn('geometry', self.put()['warnings'][0])

    def test_an_export(self):
        self.a_template(sr_type='lvm')
        data = flat_vhd({})
        self.xapi.export.data = data
        self.assertEqual(self.put()['warnings'], [])


class GeometryTest(unittest.TestCase):
    def test_is_that_of_the_specification(self):
        """Worked out by hand."""
        for mib, geometry in ((1, (30, 4, 17)), (10, (301, 4, 17)), (128, (963, 16, 17)), (1024, (2080, 16, 63)),
                              (8192, (16644, 16, 63)), (130 * 1024, (65535, 16, 255)), (2040 * 1024, (65535, 16, 255))):
            wanted = geometry[0] << 16 | geometry[1] << 8 | geometry[2]
            got = largest_geometry(mib << 20)
            self.assertEqual((got >> 16, got >> 8 & 255, got & 255), geometry, (mib, wanted))


if __name__ == '__main__':
    unittest.main()
