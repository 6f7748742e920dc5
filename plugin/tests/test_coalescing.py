"""A chain that sm works on is busy: it fails as CHAIN_CHANGED, or comes out right, and never is called damaged."""
import io
import os
import tarfile
import threading
import time
import unittest
import uuid

import vhd_chain
from support import PluginFailure, PluginTest, write_vhd
from vhd_files import spoil


class CoalescingTest(PluginTest):
    def rename(self, old, new):
        os.rename(os.path.join(self.sr_path, old), os.path.join(self.sr_path, new))

    def write(self, name, text=u'1'):
        with io.open(os.path.join(self.sr_path, name), 'w') as out:
            out.write(u'%s' % text)

    def later(self, action):
        """While the plugin looks again."""
        timer = threading.Timer(1.0, action)
        self.addCleanup(timer.join)
        timer.start()

    def assert_busy(self, **changes):
        for source in ('auto', 'chain'):
            error = self.fails('CHAIN_CHANGED', True, self.put, source=source, **changes)
        self.assertEqual(self.glance.requests[-1][0], 'GET')
        return error


class FooterTest(CoalescingTest):
    """libvhd writes over the footer at the end, and puts it back after the data; a live disk has none."""

    def test_no_footer_at_the_end_but_a_good_copy(self):
        for number in (0, 1):
            for spoil_it in (vhd_chain.kill_footer, lambda path: spoil(path, -300),
                             lambda path: self.append(path, b'\0' * 4096), lambda path: self.append(path, b'x' * 100),
                             lambda path: self.cut(path, 512), lambda path: self.cut(path, 1)):
                self.a_template()
                spoil_it(self.path(number))
                self.assertIn('being written', self.assert_busy().message)

    def append(self, path, data):
        with io.open(path, 'ab') as out:
            out.write(data)

    def cut(self, path, size):
        with io.open(path, 'r+b') as out:
            out.truncate(os.path.getsize(path) - size)

    def test_footers_that_differ_for_a_moment(self):
        """Between their two writes."""
        self.a_template()
        good = vhd_chain.read_at(self.path(1), 0, 512)
        vhd_chain.set_hidden(self.path(1), False)
        vhd_chain.write_at(self.path(1), 0, good)
        self.later(lambda: vhd_chain.set_hidden(self.path(1), True))
        self.assertEqual(self.put(source='chain')['source'], 'chain')

    def test_a_stale_name_that_leads_to_a_live_disk(self):
        """Which has no footer at its end; it is another disk all the same."""
        self.a_template(chain=2)
        live = os.path.join(self.sr_path, '%s.vhd' % uuid.uuid4())
        write_vhd(live, {0: b'x' * 512})
        vhd_chain.kill_footer(live)
        write_vhd(self.path(0), {}, self.footers[1], os.path.basename(live))
        self.assertEqual([one['uuid'] for one in self.put()['vhds']], self.uuids)

    def test_a_header_that_is_half_written_for_a_moment(self):
        self.a_template()
        good = vhd_chain.read_at(self.path(0), 512, 1024)
        vhd_chain.write_at(self.path(0), 700, b'half')
        self.later(lambda: vhd_chain.write_at(self.path(0), 512, good))
        self.assertEqual(self.put()['source'], 'chain')


class RenameTest(CoalescingTest):
    def setUp(self):
        CoalescingTest.setUp(self)
        self.a_template(chain=3)
        self.leaf, self.parent, self.base = self.uuids

    def test_between_the_two_renames_of_a_leaf_that_is_coalesced(self):
        self.rename(self.leaf + '.vhd', 'OLD_%s.vhd' % self.leaf)
        self.assertIn('being coalesced', self.assert_busy().message)
        self.write('leaf_' + self.leaf, self.parent)
        self.assert_busy()
        os.unlink(os.path.join(self.sr_path, 'OLD_%s.vhd' % self.leaf))
        self.assert_busy()

    def test_a_leaf_that_is_there_again_in_a_moment(self):
        self.rename(self.leaf + '.vhd', 'OLD_%s.vhd' % self.leaf)
        self.later(lambda: self.rename('OLD_%s.vhd' % self.leaf, self.leaf + '.vhd'))
        self.assertEqual([one['uuid'] for one in self.put()['vhds']], self.uuids)

    def test_the_parent_took_the_leaf_s_name_since_its_header_was_read(self):
        """Both renames are done when the parent is looked for."""
        self.rename(self.parent + '.vhd', 'hidden-for-a-moment')

        def both_renamed():
            self.rename(self.leaf + '.vhd', 'OLD_%s.vhd' % self.leaf)
            self.rename('hidden-for-a-moment', self.leaf + '.vhd')
            vhd_chain.set_hidden(self.path(0), False)
        self.later(both_renamed)
        self.assertEqual([one['uuid'] for one in self.put()['vhds']], [self.leaf, self.base])

    def test_a_parent_that_is_missing_while_a_leaf_s_coalescing_is_undone(self):
        self.rename(self.parent + '.vhd', 'away')
        for name, value in (('leaf_' + self.leaf, self.parent), ('relink_' + self.parent, u'1'),
                            ('coalesce_' + self.parent, u'1'), ('leaf_' + str(uuid.uuid4()), self.parent)):
            self.write(name, value)
            self.assert_busy()
            os.unlink(os.path.join(self.sr_path, name))

    def test_a_parent_that_was_merged_away_and_the_child_relinked(self):
        self.rename(self.parent + '.vhd', 'away')
        self.later(lambda: vhd_chain.relink(self.path(0), self.path(2)))
        self.assertEqual([one['uuid'] for one in self.put()['vhds']], [self.leaf, self.base])

    def test_a_hidden_leaf_while_its_coalescing_is_undone(self):
        vhd_chain.set_hidden(self.path(0), True)
        self.write('leaf_' + self.leaf, self.parent)
        self.assert_busy()

    def test_a_hidden_leaf_that_is_shown_in_a_moment(self):
        vhd_chain.set_hidden(self.path(0), True)
        self.later(lambda: vhd_chain.set_hidden(self.path(0), False))
        self.assertEqual(self.put()['source'], 'chain')

    def test_what_sm_does_to_other_disks_says_nothing_of_this_one(self):
        other = str(uuid.uuid4())
        for name in ('leaf_' + other, 'relink_' + other, 'OLD_%s.vhd' % other, 'leaf_', 'OLD_', 'filelog.txt'):
            self.write(name, str(uuid.uuid4()))
        self.rename(self.leaf + '.vhd', 'away')
        self.fails('VHD_MISSING', False, self.put)
        self.rename('away', self.leaf + '.vhd')
        self.rename(self.base + '.vhd', 'away')
        self.fails('VHD_PARENT_MISSING', False, self.put)

    def test_a_cancel_while_it_looks_again(self):
        self.rename(self.leaf + '.vhd', 'away')
        upload = self.start('put_vdis', self.params())
        end = time.time() + 30
        while not self.glance.requests:
            self.assertLess(time.time(), end)
            time.sleep(0.02)
        self.assertEqual(self.call('cancel', {'jobId': self.job})['state'], 'cancelled')
        self.fails('CANCELLED', False, upload.result)


# Steps after which no upload can begin.
STANDS_IN_THE_WAY = ('no footer', 'a block beyond the end', 'one renamed')


class RaceTest(CoalescingTest):
    """Uploads in the middle of which a coalescer does what sm does."""

    def disk(self):
        layers, path = [], self.path(0)
        while path:
            layers.append(vhd_chain.read_at(path, 0, 1 << 30))
            name = layers[-1][512 + 64:512 + 576].decode('utf-16-be').split(u'\0')[0]
            path = os.path.join(self.sr_path, name) if name else None
        return vhd_chain.disk_of(layers)

    def uploaded(self):
        with tarfile.open(fileobj=io.BytesIO(self.glance.data), mode='r|gz') as bundle:
            return vhd_chain.disk_of([bundle.extractfile(member).read() for member in bundle])

    def upload_amidst(self, steps, count):
        """An upload that stands still once its first bytes are in Glance, while the coalescer takes so many steps: their
        names, and whether it got through. Where the coalescer stood, it may have failed before."""
        self.job, self.glance = str(uuid.uuid4()), self.a_glance()
        self.glance.at_bytes, self.glance.behaviour = 1, 'hold'
        upload = self.start('put_vdis', self.params(tokenSecret=None))
        while not self.glance.reached.wait(0.02) and upload.process.poll() is None:
            pass
        taken = [step for _, step in zip(range(count), steps)]
        self.glance.go_on.set()
        try:
            upload.result()
            return taken, True
        except PluginFailure as exc:
            self.assertEqual((exc.code, exc.retryable), ('CHAIN_CHANGED', True), (taken, exc))
            self.assertFalse(self.glance.terminated)
            return taken, False

    def races(self, coalesce, chain, harmless):
        """Each step alone, and then some at once. Nothing but CHAIN_CHANGED may be in an upload's way, and but for the
        `harmless` steps something is; what gets through is the disk."""
        for count in (1, 4):
            # More than the socket between the two holds, so that the plugin cannot be through with it.
            self.a_template(chain=chain, pieces=80)
            wanted = self.disk()
            steps, taken, last = coalesce(self.sr_path, *self.uuids), True, None
            while taken:
                taken, through = self.upload_amidst(steps, count)
                self.assertEqual(through, last not in STANDS_IN_THE_WAY and all(step in harmless for step in taken),
                                 (last, taken))
                if through:
                    self.assertTrue(self.uploaded() == wanted, taken)
                last = taken[-1] if taken else last
            self.assertTrue(self.disk() == wanted)

    def test_a_base_copy_is_merged_into_its_parent(self):
        self.races(vhd_chain.coalesce, 3, ('journal', 'deleted'))

    def test_a_leaf_is_merged_into_its_parent(self):
        self.races(vhd_chain.coalesce_leaf, 2, ('journal', 'hidden', 'deleted'))


class EachStepTest(CoalescingTest):
    """At every single step, with the coalescer standing still there."""

    def looks(self, make, chain):
        seen = []
        self.a_template(chain=chain, pieces=40)
        steps = make()
        for step in steps:
            self.job, self.glance = str(uuid.uuid4()), self.a_glance()
            try:
                self.put(tokenSecret=None)
                answer = 'success'
            except PluginFailure as exc:
                self.assertEqual((exc.code, exc.retryable), ('CHAIN_CHANGED', True), (step, exc))
                answer = 'busy'
            seen.append((step, answer))
        return seen

    def test_coalesce(self):
        seen = self.looks(lambda: vhd_chain.coalesce(self.sr_path, *self.uuids), 3)
        self.assertEqual(seen[0], ('journal', 'success'))
        self.assertEqual(seen[-2:], [('relinked', 'success'), ('deleted', 'success')])

    def test_coalesce_leaf(self):
        seen = self.looks(lambda: vhd_chain.coalesce_leaf(self.sr_path, *self.uuids), 2)
        self.assertEqual([answer for step, answer in seen if step == 'one renamed'], ['busy'])
        self.assertEqual(seen[-3:], [('both renamed', 'success'), ('hidden', 'success'), ('deleted', 'success')])

    def test_no_footer(self):
        self.a_template(chain=2)
        write_vhd(self.path(0), {5: os.urandom(65536)}, self.footers[1], u'%s.vhd' % self.uuids[1])
        steps = vhd_chain.merge(self.path(0), self.path(1))
        self.assertEqual(next(steps), 'no footer')
        self.assert_busy()
        self.assertEqual([next(steps), next(steps)], ['a block beyond the end', 'data'])
        self.assert_busy()
        self.assertTrue(list(steps)[-1] == 'footer' and self.put()['source'] == 'chain')


if __name__ == '__main__':
    unittest.main()
