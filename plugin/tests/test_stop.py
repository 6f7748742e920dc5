import os
import signal
import subprocess
import threading
import time
import unittest
import uuid

from support import PluginTest, load_plugin

IONICE = next((path for path in ('/usr/bin/ionice', '/bin/ionice') if os.access(path, os.X_OK)), None)


class StopTest(PluginTest):
    """A put_vdis that hangs in the middle of its upload, since Glance does not read on."""

    def setUp(self):
        PluginTest.setUp(self)
        self.a_template(pieces=250)

    def start_upload(self, at_bytes=300000, **options):
        self.glance.at_bytes, self.glance.behaviour = at_bytes, 'stall'
        upload = self.start('put_vdis', self.params(), **options)
        self.assertTrue(self.glance.reached.wait(30))
        return upload

    def cancel(self):
        return self.call('cancel', {'jobId': self.job})

    def assert_stopped(self):
        self.glance.go_on.set()
        self.assert_not_uploaded()
        self.assert_nothing_left()

    def until(self, condition):
        end = time.time() + 30
        while not condition():
            self.assertLess(time.time(), end, 'waited too long')
            time.sleep(0.02)

    def test_status_tells_the_progress(self):
        self.start_upload()
        self.until(lambda: self.status()['bytesSent'] >= 300000)
        state = self.status()
        self.assertEqual((state['state'], state['phase'], state['result'], state['error']),
                         ('running', 'uploading', None, None))
        self.assertEqual(state['bytesTotal'], sum(os.path.getsize(self.path(number)) for number in range(2)))
        self.assertTrue(0 < state['bytesRead'] <= state['bytesTotal'])
        self.assertGreater(state['etaSeconds'], 0)
        self.assertGreaterEqual(state['bytesPerSecond'], 0)

    def test_status_tells_the_rate_of_the_last_seconds_and_in_the_end_of_all(self):
        plugin = load_plugin()
        run = plugin.Run(None, {'imageId': self.job})
        now = [1000.0]
        plugin.clock = lambda: now[0]
        run.state['bytesTotal'] = 60 << 20
        run.transfer_began = now[0]
        run.samples.append((now[0], 0))
        for _ in range(20):
            now[0] += 0.5
            run.state['bytesRead'] += 2 << 20
            run.measure()
        self.assertEqual((run.state['bytesPerSecond'], run.state['etaSeconds']), (4 << 20, 5.0))
        for _ in range(20):
            now[0] += 0.5
            run.measure()
        self.assertEqual((run.state['bytesPerSecond'], run.state['etaSeconds']), (0, 10.0))
        run.save = lambda: None
        run.finish(None)
        self.assertEqual((run.state['bytesPerSecond'], run.state['etaSeconds']), (2 << 20, None))

    def test_status_is_fresh_though_nothing_moves(self):
        self.start_upload()
        path = os.path.join(self.root, 'var/run/xensnap', self.job + '.json')
        took = []
        for _ in range(3):
            before = os.stat(path).st_ino
            began = time.time()
            self.until(lambda: os.stat(path).st_ino != before)
            took.append(time.time() - began)
        self.assertLess(min(took), 2)

    def test_every_thread_lets_guests_go_first(self):
        upload = self.start_upload()
        threads = os.listdir('/proc/%d/task' % upload.pid)
        self.assertGreater(len(threads), 2)
        for thread in threads:
            with open('/proc/%d/task/%s/stat' % (upload.pid, thread)) as stat:
                self.assertEqual(stat.read().rsplit(')', 1)[1].split()[16], '19')
            if IONICE:
                self.assertEqual(subprocess.check_output((IONICE, '-p', thread)).strip(), b'idle')

    def test_the_state_is_for_root_alone(self):
        self.start_upload()
        folder = os.path.join(self.root, 'var/run/xensnap')
        self.assertEqual(os.stat(folder).st_mode & 0o777, 0o700)
        modes = set(os.stat(os.path.join(folder, self.job + ending)).st_mode & 0o777 for ending in ('.json', '.lock'))
        self.assertEqual(modes, set([0o600]))

    def test_cancel_stops_an_upload_within_5_seconds(self):
        upload = self.start_upload()
        began = time.time()
        state = self.cancel()
        self.assertLess(time.time() - began, 5)
        self.assertEqual((state['state'], state['error']['code']), ('cancelled', 'CANCELLED'))
        self.fails('CANCELLED', False, upload.result)
        self.assertEqual(self.status()['state'], 'cancelled')
        self.assert_stopped()

    def test_cancel_and_sigterm_in_the_middle_leave_nothing(self):
        whole = self.put()['bytesSent']
        for stop in (self.cancel, None):
            self.job, self.glance = str(uuid.uuid4()), self.a_glance()
            upload = self.start_upload(at_bytes=whole // 2)
            # What it tells may be 2 s old.
            self.until(lambda: self.status()['bytesRead'] > 0)
            if stop:
                stop()
            else:
                os.kill(upload.pid, signal.SIGTERM)
            self.fails('CANCELLED' if stop else 'INTERRUPTED', not stop, upload.result)
            self.assertGreaterEqual(self.glance.received, whole // 2)
            self.assert_stopped()

    def test_cancel_stops_a_run_that_waits_for_the_last_answer(self):
        self.glance.before_answer = 'stall'
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        self.assertEqual(self.cancel()['state'], 'cancelled')
        self.fails('CANCELLED', False, upload.result)
        self.assert_nothing_left()

    def test_cancel_stops_a_run_that_waits_for_xapi(self):
        self.xapi.hold['VM.get_VBDs'] = threading.Event()
        self.addCleanup(self.xapi.hold['VM.get_VBDs'].set)
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.xapi.reached.wait(30))
        self.assertEqual(self.cancel()['state'], 'cancelled')
        self.fails('CANCELLED', False, upload.result)
        self.assertEqual(self.glance.requests, [])
        self.assert_nothing_left()
        self.assertNotIn(self.secret, self.xapi.records)

    def test_cancel_kills_a_process_that_does_not_react(self):
        upload = self.start_upload()
        os.kill(upload.pid, signal.SIGSTOP)
        self.assertEqual(self.cancel()['state'], 'cancelled')
        self.assertEqual(upload.wait(), -signal.SIGKILL)
        self.assert_stopped()

    def test_cancel_of_a_killed_process_cleans_up(self):
        upload = self.start_upload()
        upload.process.kill()
        upload.wait()
        self.assertEqual(self.cancel()['state'], 'cancelled')
        self.assert_stopped()

    def test_status_of_a_killed_process_says_interrupted_and_cleans_up(self):
        upload = self.start_upload()
        upload.process.kill()
        upload.wait()
        state = self.status()
        self.assertEqual((state['state'], state['error']['code'], state['error']['retryable']),
                         ('failed', 'INTERRUPTED', True))
        self.assert_stopped()

    def test_sigterm_and_sigint_stop_it(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.glance = self.a_glance()
            upload = self.start_upload()
            os.kill(upload.pid, number)
            self.fails('INTERRUPTED', True, upload.result)
            self.assertEqual(self.status()['error']['code'], 'INTERRUPTED')
            self.assert_stopped()

    def test_it_outlives_the_end_of_xapi(self):
        read_end, write_end = os.pipe()
        self.glance.at_bytes, self.glance.behaviour = 300000, 'hold'
        upload = self.start('put_vdis', self.params(), stdout=write_end)
        self.assertTrue(self.glance.reached.wait(30))
        os.close(write_end)
        os.close(read_end)
        os.kill(upload.pid, signal.SIGHUP)
        self.glance.go_on.set()
        self.assertEqual(upload.wait(), 0)
        self.assertEqual(upload.err, b'')
        state = self.status()
        self.assertEqual((state['state'], state['result']['glance']), ('succeeded', 'matches'))
        self.assert_nothing_left()

    def test_a_second_put_vdis_is_refused_and_the_first_goes_on(self):
        self.glance.at_bytes, self.glance.behaviour = 300000, 'hold'
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        self.fails('ALREADY_RUNNING', False, self.put)
        self.glance.go_on.set()
        self.assertEqual(upload.result()['glance'], 'matches')
        self.assertEqual([request[0] for request in self.glance.requests], ['GET', 'PUT', 'GET'])
        self.assert_nothing_left()

    def test_a_put_vdis_after_its_cancel_is_refused(self):
        state = self.cancel()
        self.assertEqual((state['state'], state['error']['code']), ('cancelled', 'CANCELLED'))
        self.fails('CANCELLED', False, self.put)
        self.assertEqual(self.status()['state'], 'cancelled')
        self.assertEqual(self.glance.requests, [])
        self.assertNotIn(self.secret, self.xapi.records)
        self.assert_nothing_left()

    def test_cancel_leaves_a_success_as_it_is(self):
        result = self.put()
        state = self.cancel()
        self.assertEqual((state['state'], state['result']), ('succeeded', result))

    def test_a_failed_run_can_be_tried_again_until_it_is_cancelled(self):
        self.glance.behaviour = 503
        self.put_fails('GLANCE_UNAVAILABLE', True)
        self.assertEqual(self.put()['glance'], 'matches')
        self.job = str(uuid.uuid4())
        self.glance = self.a_glance()
        self.glance.behaviour = 503
        self.put_fails('GLANCE_UNAVAILABLE', True)
        self.assertEqual(self.cancel()['error']['code'], 'GLANCE_UNAVAILABLE')
        self.fails('CANCELLED', False, self.put)

    def test_a_run_after_a_killed_one_cleans_up_and_succeeds(self):
        upload = self.start_upload()
        upload.process.kill()
        upload.wait()
        self.glance = self.a_glance()
        self.assertEqual(self.put()['glance'], 'matches')
        self.assert_nothing_left()

    def test_two_jobs_run_beside_each_other(self):
        self.start_upload()
        other = self.a_glance()
        self.job = str(uuid.uuid4())
        self.assertEqual(self.put(imageId=other.image['id'], glanceUrl=other.url)['glance'], 'matches')

    def test_a_state_that_is_none(self):
        folder = os.path.join(self.root, 'var/run/xensnap')
        os.makedirs(folder)
        for text in ('', '{', '{}', 'null', '[' * 200000, '{"state": []}', '{"state": "running", "sent": 7}'):
            old = os.path.join(folder, '%s.json' % uuid.uuid4())
            for path in (old, os.path.join(folder, self.job + '.json')):
                with open(path, 'w') as out:
                    out.write(text)
            os.utime(old, (1, 1))
            self.assertEqual(self.status()['state'], 'unknown')
            self.glance.image['status'] = 'queued'
            self.assertEqual(self.put()['jobId'], self.job)
            self.assertFalse(os.path.exists(old))
            with open(os.path.join(folder, self.job + '.json'), 'w') as out:
                out.write(text)
            self.assertEqual(self.cancel()['state'], 'cancelled')
            os.unlink(os.path.join(folder, self.job + '.cancel'))

    def test_a_state_of_another_kind_is_none(self):
        plugin = self.plugin_of_this_dom0()
        files, running = plugin.JobFiles(self.job), '{"state": "running", %s}'
        for text in ('[]', '3', '"x"', '{"state":' * 20000, '{"state": 7}', '{"state": 1e400}', '{"state": "x"}', running % '"result": NaN',
                     running % '"sent": {"format": "vhd"}', running % '"error": "x"', running % '"exportTask": []',
                     running % '"imageId": {}', running % '"phase": [[]]', ' ' * 2000000 + '{"state": "running"}', u'\xb2'):
            with open(files.state_path, 'wb') as out:
                out.write(text.encode('utf-8'))
            self.assertIsNone(files.read(), text[:50])
        files.write(plugin.new_state('running'))
        self.assertEqual(files.read()['state'], 'running')

    def plugin_of_this_dom0(self):
        os.environ['XENSNAP_DOM0_ROOT'] = self.root
        self.addCleanup(os.environ.pop, 'XENSNAP_DOM0_ROOT')
        return load_plugin()

    def test_a_disk_that_takes_a_part_of_a_state(self):
        plugin = self.plugin_of_this_dom0()
        files = plugin.JobFiles(self.job)
        state = plugin.new_state('running')
        real = os.write
        self.addCleanup(setattr, os, 'write', real)
        os.write = lambda fd, data: real(fd, data[:100])
        files.write(state)
        self.assertEqual(files.read(), state)

    def test_jobs_are_forgotten_after_a_day(self):
        self.put()
        first, self.job = self.job, str(uuid.uuid4())
        self.cancel()
        folder = os.path.join(self.root, 'var/run/xensnap')
        young = str(uuid.uuid4())
        self.call('cancel', {'jobId': young})
        for name in os.listdir(folder):
            if not name.startswith(young):
                os.utime(os.path.join(folder, name), (time.time() - 90000,) * 2)
        self.job, self.glance = str(uuid.uuid4()), self.a_glance()
        self.put()
        self.assertEqual(set(name.split('.')[0] for name in os.listdir(folder)), set([young, self.job]))
        self.assertEqual(self.call('status', {'jobId': first})['state'], 'unknown')

    def test_a_running_job_is_not_forgotten(self):
        self.start_upload()
        folder = os.path.join(self.root, 'var/run/xensnap')
        running, self.job = self.job, str(uuid.uuid4())
        other = self.a_glance()
        for name in os.listdir(folder):
            os.utime(os.path.join(folder, name), (time.time() - 90000,) * 2)
        self.put(imageId=other.image['id'], glanceUrl=other.url)
        self.assertEqual(self.call('status', {'jobId': running})['state'], 'running')


if __name__ == '__main__':
    unittest.main()
