import io
import os
import threading
import time
import unittest
import uuid

from support import PluginTest, load_plugin


class SweepTest(PluginTest):
    def setUp(self):
        PluginTest.setUp(self)
        self.a_template()
        self.sr_uuid = os.path.basename(self.sr_path)

    def a_staging_folder(self, job, owner=None, sr_path=None):
        folder = os.path.join(sr_path or self.sr_path, 'xensnap-staging-%s-%s' % (owner or self.host, job))
        os.mkdir(folder)
        os.link(self.path(0), os.path.join(folder, '0.vhd'))
        return folder

    def sweep(self, *job_ids, **changes):
        result = self.call('sweep', dict({'jobIds': list(job_ids)}, **changes))
        self.ages = [one.pop('ageSeconds') for one in result['removed'] + result['left']]
        return result

    def folder(self, job, owner=None, **more):
        return dict({'jobId': job, 'owner': owner or self.host, 'sr': self.sr_uuid}, **more)

    def test_removes_what_this_host_staged_for_the_named_jobs_in_every_sr(self):
        self.a_staging_folder(self.job)
        first = self.sr_path
        self.a_template()
        self.a_staging_folder(self.job)
        result = self.sweep(self.job)
        srs = sorted([self.sr_uuid, os.path.basename(self.sr_path)])
        self.assertEqual(sorted(one['sr'] for one in result['removed']), srs)
        self.assertEqual((result['host'], result['left'], result['unanswered']), (self.host, [], []))
        self.assertEqual([name for path in (first, self.sr_path) for name in os.listdir(path) if 'staging' in name], [])
        self.assert_nothing_left()

    def test_names_what_it_finds_of_other_jobs_and_leaves_it(self):
        folder = self.a_staging_folder(self.job)
        self.assertEqual(self.sweep()['left'], [self.folder(self.job, reason='not named')])
        self.assertEqual(self.sweep(str(uuid.uuid4()))['left'], [self.folder(self.job, reason='not named')])
        self.assertEqual(os.listdir(folder), ['0.vhd'])

    def test_tells_how_long_ago_a_folder_was_made(self):
        os.utime(self.a_staging_folder(self.job), (time.time() - 90000,) * 2)
        self.sweep()
        self.assertGreaterEqual(self.ages[0], 90000)
        self.assertLess(self.ages[0], 93600)

    def test_removes_what_another_host_staged_only_when_told_that_it_is_gone(self):
        other, third = str(uuid.uuid4()), str(uuid.uuid4())
        folder = self.a_staging_folder(self.job, owner=other)
        for owners in ([], [third]):
            self.assertEqual(self.sweep(self.job, owners=owners)['left'],
                             [self.folder(self.job, other, reason='of another host')])
        self.assertTrue(os.path.exists(folder))
        self.assertEqual(self.sweep(self.job, owners=[other])['removed'], [self.folder(self.job, other)])
        self.assert_nothing_left()

    def test_leaves_a_job_whose_upload_runs(self):
        self.glance.behaviour = 'hold'
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        self.assertEqual(self.sweep(self.job)['left'], [self.folder(self.job, reason='running')])
        self.glance.go_on.set()
        self.assertEqual(upload.result()['glance'], 'matches')
        self.assert_nothing_left()

    def test_removes_what_a_killed_upload_left_when_its_state_is_gone_too(self):
        self.glance.behaviour = 'stall'
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        upload.process.kill()
        upload.wait()
        for name in os.listdir(os.path.join(self.root, 'var/run/xensnap')):  # as a reboot of the host does
            os.unlink(os.path.join(self.root, 'var/run/xensnap', name))
        self.assertEqual(self.sweep(self.job)['removed'], [self.folder(self.job)])
        self.assert_nothing_left()

    def test_closes_the_state_of_an_upload_that_was_killed(self):
        self.glance.behaviour = 'stall'
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        upload.process.kill()
        upload.wait()
        self.sweep(self.job)
        self.assertEqual(self.status()['error']['code'], 'INTERRUPTED')
        self.assert_nothing_left()

    def test_touches_nothing_but_staging_folders(self):
        names = ['xensnap-staging-%s' % self.host, 'xensnap-staging-%s-%s.old' % (self.host, self.job), self.job]
        for name in names:
            os.mkdir(os.path.join(self.sr_path, name))
        self.assertEqual(self.sweep(self.job)['removed'], [])
        for name in names:
            os.rmdir(os.path.join(self.sr_path, name))
        self.assert_nothing_left()

    def test_follows_no_link_out_of_the_sr(self):
        elsewhere = os.path.join(self.root, 'elsewhere')
        os.mkdir(elsewhere)
        io.open(os.path.join(elsewhere, 'file'), 'w').close()
        link = os.path.join(self.sr_path, 'xensnap-staging-%s-%s' % (self.host, self.job))
        os.symlink(elsewhere, link)
        self.assertEqual(self.sweep(self.job)['left'], [self.folder(self.job, reason='cannot be removed')])
        self.assertEqual(os.listdir(elsewhere), ['file'])

    def test_a_host_without_srs_has_nothing_to_sweep(self):
        os.rename(os.path.join(self.root, 'var/run/sr-mount'), os.path.join(self.root, 'gone'))
        self.assertEqual(self.sweep(self.job), {'host': self.host, 'removed': [], 'left': [], 'unanswered': []})

    def test_bad_params(self):
        for params in ({}, {'jobIds': self.job}, {'jobIds': [7]}, {'jobIds': ['../..']},
                       {'jobIds': [self.job] * 1001}, {'jobIds': [], 'owners': 'all'}):
            self.fails('BAD_PARAMS', False, self.call, 'sweep', params)

    def test_an_sr_that_does_not_answer_holds_up_no_other(self):
        self.a_staging_folder(self.job)
        first_sr, first_uuid = self.sr_path, self.sr_uuid
        self.a_template()
        self.a_staging_folder(self.job)
        plugin, dead = load_plugin(), threading.Event()
        self.addCleanup(dead.set)
        swept = threading.Event()

        def listdir(path):
            if path == first_sr:
                dead.wait(60)
            return os.listdir(path)

        class Os(object):
            def __getattr__(self, name):
                return listdir if name == 'listdir' else getattr(os, name)

        class Sweep(plugin.Sweep):
            def look_through(self, sr_path, sr_uuid):
                plugin.Sweep.look_through(self, sr_path, sr_uuid)
                swept.set()

        class Hurry(object):
            """Time enough for whoever is not dead."""

            def __add__(self, _seconds):
                return self

            def __sub__(self, _other):
                swept.wait(60)
                return 0.5

        os.environ['XENSNAP_DOM0_ROOT'] = self.root
        self.addCleanup(os.environ.pop, 'XENSNAP_DOM0_ROOT')
        plugin.os, plugin.clock = Os(), Hurry
        result = Sweep({'jobIds': [self.job], 'owners': []}).execute()
        self.assertEqual(result['unanswered'], [first_uuid])
        self.assertEqual([one['sr'] for one in result['removed']], [os.path.basename(self.sr_path)])


if __name__ == '__main__':
    unittest.main()
