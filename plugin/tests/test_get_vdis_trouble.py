"""Every trouble of a download: one outcome, its true reason, and nothing left behind."""
import io
import json
import os
import signal
import threading
import time
import unittest
import uuid

from images import Layer, bundle_of, disk_of, gzipped, some_layers, tar_of, vhds_of
from restore_world import RestoreTest
from support import CertificateTest, TOKEN, fault_env
from vhd_files import BLOCK_BYTES

DEAF = ['DEVICE_DETACH_REJECTED', 'VBD', 'x', 'it is open']
OPEN = ['SR_BACKEND_FAILURE_1200', '', "['/usr/sbin/tap-ctl', 'close', '-p', '7', '-m', '0', '-t', '120'] failed: status=16", '']


class DownloadTest(RestoreTest):
    def setUp(self):
        RestoreTest.setUp(self)
        self.layers = some_layers(21, 2)
        self.has(self.layers)
        self.size = len(self.glance.stored)

    def ranges(self):
        return [headers.get('range') for _, path, headers in self.glance.requests if path.endswith('/file')]

    def test_goes_on_where_the_connection_broke(self):
        for at in (self.size // 10, self.size * 99 // 100, 0):
            self.glance.requests, self.job = [], str(uuid.uuid4())
            self.fill_disk(b'\0')
            self.glance.plans = [{'drop_at': at}]
            self.assertEqual(self.get()['bytesRead'], self.size)
            self.assert_disk(disk_of(self.layers))
            self.assertEqual(self.ranges(), [None, 'bytes=%d-' % at if at else None])
            self.assertEqual(self.state()['bytesRead'], self.size)

    def test_passes_over_what_is_known_where_the_store_takes_no_ranges(self):
        self.glance.plans = [{'drop_at': self.size // 2}, {'no_ranges': True, 'drop_at': self.size // 3},
                             {'no_ranges': True, 'chunked': True}]
        self.get()
        self.assert_disk(disk_of(self.layers))
        self.assertEqual(self.ranges(), [None] + ['bytes=%d-' % (self.size // 2)] * 2)

    def test_goes_on_when_glance_is_away_for_a_while(self):
        page = {'data': b'<html>back soon</html>', 'type': 'text/html'}
        self.glance.plans = [page, {'drop_at': self.size // 2}, {'status': 503}, {'drop_at': 0}]
        self.get()
        self.assert_disk(disk_of(self.layers))

    def test_has_all_that_it_needs_where_the_connection_ends_badly_behind_the_last_byte(self):
        self.glance.plans = [{'drop_at': self.size // 2}, {'chunked': True, 'drop_at': self.size - self.size // 2}]
        self.get()
        self.assert_disk(disk_of(self.layers))
        self.assertEqual(len(self.ranges()), 2)

    def test_reads_the_same_in_each_pass_although_glance_has_no_hash(self):
        vhds = vhds_of(self.layers)
        files = [('b.vhd', vhds[1]), ('a.vhd', vhds[0])]
        self.glance.store(gzipped(tar_of(files)))
        self.glance.image.update(os_hash_algo='md5', os_hash_value='0' * 32)
        self.assertEqual(len(self.get(sha512=None)['warnings']), 1)
        self.assert_disk(disk_of(self.layers))
        self.job = str(uuid.uuid4())
        other = gzipped(tar_of([('b.vhd', vhds[1]), ('c.vhd', vhds[0])]))
        self.glance.plans = [{}, {'data': other}]
        self.get_fails('HASH_MISMATCH', False, sha512=None, sizeBytes=len(other))

    def test_refuses_another_range_than_it_asked_for(self):
        half = self.size // 2
        for told in ('bytes %d-%d/%d' % (half + 1, self.size - 1, self.size), 'bytes %d-%d/%d' % (half, self.size - 2, self.size),
                     'bytes %d-%d/%d' % (half, self.size - 1, self.size + 1), 'bytes 0-%d/%d' % (self.size - 1, self.size), ''):
            self.glance.plans = [{'drop_at': half}, {'range': told}]
            self.assertIn(str(half), self.get_fails('GLANCE_REFUSED', True).message)
            self.job = str(uuid.uuid4())

    def test_another_length_than_the_image_has_is_another_image(self):
        for plan in ({'length': self.size + 1}, {'data': self.glance.stored + b'x'}, {'data': self.glance.stored[:-1]},
                     {'data': self.glance.stored + b'x', 'chunked': True}):
            self.glance.plans = [plan]
            self.get_fails('HASH_MISMATCH', False)
            self.job = str(uuid.uuid4())

    def test_a_token_that_expires_in_the_middle_is_worth_another_try(self):
        self.glance.plans = [{'drop_at': self.size // 2}, {'status': 401}]
        self.get_fails('GLANCE_UNAUTHORIZED', True)
        self.glance.plans = [{'status': 401}]
        self.get_fails('GLANCE_UNAUTHORIZED', False)

    def test_what_glance_refuses(self):
        for status, code, retryable in ((404, 'IMAGE_GONE', False), (403, 'GLANCE_FORBIDDEN', False), (410, 'IMAGE_GONE', False),
                                        (416, 'GLANCE_REFUSED', False), (204, 'GLANCE_REFUSED', False)):
            self.glance.plans = [{'status': status}]
            self.get_fails(code, retryable)
            self.glance.plans = [{'drop_at': self.size // 2}, {'status': status}]
            self.job = str(uuid.uuid4())
            self.get_fails(code, retryable)

    def test_nothing_is_plugged_for_an_image_that_is_not_as_it_should_be(self):
        for changes, code in (({'status': 'queued'}, 'IMAGE_NOT_ACTIVE'), ({'status': 'deactivated'}, 'IMAGE_NOT_ACTIVE'),
                              ({'status': 'deleted'}, 'IMAGE_GONE'), ({'size': 5}, 'HASH_MISMATCH'),
                              ({'os_hash_value': 'f' * 128}, 'HASH_MISMATCH')):
            before = dict(self.glance.image)
            self.glance.image.update(changes)
            self.get_fails(code, False)
            self.glance.image.update(before)
        self.assertNotIn('VBD.create', self.xapi.calls)

    def test_bytes_that_come_wrong_are_told_from_an_image_that_is_damaged(self):
        spoilt = bytearray(self.glance.stored)
        spoilt[self.size // 2] ^= 1
        self.glance.plans = [{'data': bytes(spoilt)}]
        self.get_fails('HASH_MISMATCH', False)
        self.glance.store(bytes(spoilt))
        self.job = str(uuid.uuid4())
        self.get_fails('IMAGE_DAMAGED', False)

    def test_reads_no_more_of_a_damaged_image_whose_hash_nobody_knows(self):
        self.glance.store(b'no gzip' + os.urandom(32 << 20))
        self.glance.image.update(os_hash_algo='md5', os_hash_value='0' * 32)
        self.get_fails('IMAGE_DAMAGED', False, sha512=None)
        self.assertLess(self.state()['bytesRead'], 16 << 20)

    def test_what_a_failed_try_left_on_the_disk_is_zeroed_by_the_next(self):
        wrong = [Layer({number: {0: b'w' * BLOCK_BYTES} for number in range(8)})]
        right = bundle_of(self.layers)
        self.glance.store(bundle_of(wrong))
        params = self.params()
        self.glance.store(right)
        self.glance.image.update(size=params['sizeBytes'], os_hash_value=params['sha512'])
        self.glance.stored = bundle_of(wrong)[:-1] + b'x'
        self.get_fails('HASH_MISMATCH', False, sizeBytes=params['sizeBytes'], sha512=params['sha512'])
        self.assertTrue(self.disk().startswith(b'w' * 1000))
        self.glance.store(right)
        self.glance.plans = [{'status': 404}]
        self.get_fails('IMAGE_GONE', False)
        self.get()
        self.assert_disk(disk_of(self.layers))

    def test_what_another_host_left_on_the_disk_is_zeroed_by_a_later_try_though_the_one_before_wrote_nothing(self):
        self.fill_disk(b'w')
        self.glance.plans = [{'status': 403}]
        self.get_fails('GLANCE_FORBIDDEN', False, readsAsZeros=False)
        self.get()
        self.assert_disk(disk_of(self.layers))

    def test_what_a_try_wrote_that_was_killed_is_zeroed_though_it_was_not_counted(self):
        self.get()
        state = dict(self.state(), state='running', phase='downloading', bytesWritten=0, rubbish=False, result=None)
        with io.open(os.path.join(self.root, 'var/run/xensnap', self.job + '.json'), 'wb') as out:
            out.write(json.dumps(state).encode('ascii'))
        self.fill_disk(b'w')
        self.get()
        self.assert_disk(disk_of(self.layers))

    def test_a_disk_that_is_too_small(self):
        self.disk_bytes -= 512
        self.fill_disk(b'\0')
        self.assertIn('0.vhd', self.get_fails('VDI_TOO_SMALL', False).message)
        self.glance.store(b'x' * (self.disk_bytes + 512))
        self.fails('VDI_TOO_SMALL', False, self.get, format='raw')
        self.get_fails('VDI_TOO_SMALL', False, format='raw', virtualBytes=self.disk_bytes + 512)


class DiskTest(RestoreTest):
    def setUp(self):
        RestoreTest.setUp(self)
        self.layers = [Layer({number: {0: os.urandom(BLOCK_BYTES)} for number in range(8)})]
        self.has(self.layers)

    def test_a_disk_that_takes_no_more(self):
        for error, code, retryable in (('ENOSPC', 'SR_FULL', False), ('EIO', 'SR_IO_ERROR', True)):
            for spares in (0, 5):
                self.fails(code, retryable, self.get, extra_env=fault_env('write ' + error, 'xvdz', spares))
                self.assert_disk_free()
            self.fails('SR_IO_ERROR' if error == 'EIO' else code, retryable, self.get, extra_env=fault_env('fsync ' + error, 'xvdz'))
            self.assert_disk_free()

    def test_a_disk_that_takes_no_direct_writes(self):
        """The flag is refused by open, or by the first write."""
        for fault in ('open EINVAL', 'write EINVAL'):
            self.fill_disk(b'\0')
            self.job = str(uuid.uuid4())
            env = dict(fault_env(fault, 'xvdz'), XENSNAP_FAULT_TIMES='1')
            self.get(extra_env=env)
            self.assert_disk(disk_of(self.layers))

    def test_a_device_that_does_not_come(self):
        self.xapi.device = 'nowhere'
        env = {'XENSNAP_DOM0_SPEED': '50'}
        self.assertIn('nowhere', self.fails('SR_IO_ERROR', True, self.get, extra_env=env).message)
        self.assert_disk_free()

    def test_a_disk_that_xapi_does_not_know_or_plug(self):
        self.assertIn('UUID_INVALID', self.get_fails('XAPI_ERROR', False, vdiUuid=str(uuid.uuid4())).message)
        self.xapi.fail['VBD.plug'] = ['SR_BACKEND_FAILURE_46', '', 'the VDI is not available', '']
        self.assertIn('SR_BACKEND_FAILURE_46', self.get_fails('XAPI_ERROR', False).message)

    def test_where_xapi_is_away_before_anything_was_plugged_nothing_is_said_to_be_stuck(self):
        self.xapi.fail['host.get_enabled'] = ['INTERNAL_ERROR', 'no']
        self.get_fails('XAPI_ERROR', True)

    def test_an_unplug_that_is_rejected_at_first(self):
        self.xapi.unplugs = [DEAF, OPEN]
        self.get(extra_env={'XENSNAP_DOM0_SPEED': '50'})
        self.assert_disk(disk_of(self.layers))
        self.assert_disk_free()
        self.assertEqual(self.xapi.calls.count('VBD.unplug'), 3)

    def test_an_unplug_that_comes_by_itself(self):
        def let_go():
            while not self.xapi.calls.count('VBD.unplug'):
                time.sleep(0.02)
            time.sleep(0.1)
            self.vbds()[0]['currently_attached'] = False
        self.xapi.unplugs = [DEAF] * 99
        thread = threading.Thread(target=let_go)
        thread.start()
        self.get(extra_env={'XENSNAP_DOM0_SPEED': '50'})
        thread.join()
        self.assert_disk_free()

    def test_a_vbd_that_is_detached_or_gone_already(self):
        for answer in (['DEVICE_ALREADY_DETACHED', 'x'], ['HANDLE_INVALID', 'VBD', 'x']):
            self.job = str(uuid.uuid4())
            self.xapi.unplugs = [answer]
            if answer[0] == 'HANDLE_INVALID':
                self.fails('VBD_STUCK', True, self.get)  # it is said to be gone, and is still there
                self.call('cancel', {'jobId': self.job})
            else:
                self.get()
            self.assert_disk_free()

    def test_an_unplug_that_is_rejected_for_ever_is_told_and_done_by_a_later_cancel(self):
        for plans, cause in (([], 'INTERRUPTED'), ([{'status': 404}], 'IMAGE_GONE')):
            self.job = str(uuid.uuid4())
            self.glance.plans = list(plans)
            self.xapi.unplugs = [DEAF] * 9999
            error = self.fails('VBD_STUCK', True, self.get, extra_env={'XENSNAP_DOM0_SPEED': '600'})
            self.assertEqual(self.status()['error']['code'], 'VBD_STUCK')
            if plans:
                self.assertIn(cause, error.message)
            stuck = self.call('cancel', {'jobId': self.job})
            self.assertEqual((stuck['state'], stuck['error']['code']), ('failed', 'VBD_STUCK'))
            self.assertEqual(len(self.vbds()), 1)
            self.xapi.unplugs = []
            free = self.call('cancel', {'jobId': self.job})
            self.assertEqual((free['state'], free['error']['code']), ('failed', cause))
            self.assert_disk_free()

    def test_the_next_try_takes_away_what_a_killed_one_left(self):
        self.glance.plans = [{'hold_at': len(self.glance.stored) // 2}]
        process = self.start('get_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        self.assertEqual(self.status()['error']['code'], 'INTERRUPTED')
        self.assertEqual(len(self.vbds()), 1)
        self.xapi.sessions.clear()
        self.get()
        self.assert_disk(disk_of(self.layers))
        self.assert_disk_free()

    def test_a_host_that_is_being_disabled(self):
        self.host_record['enabled'] = False
        self.get_fails('HOST_DISABLED', True)
        self.assertNotIn('VBD.create', self.xapi.calls)
        self.host_record['enabled'] = True
        self.glance.plans = [{'hold_at': len(self.glance.stored) // 2}]
        process = self.start('get_vdis', self.params(), extra_env={'XENSNAP_DOM0_SPEED': '100'})
        self.assertTrue(self.glance.reached.wait(30))
        self.host_record['enabled'] = False
        self.fails('HOST_DISABLED', True, process.result)
        self.assert_disk_free()


class StopRestoreTest(RestoreTest):
    def setUp(self):
        RestoreTest.setUp(self)
        self.has([Layer({number: {0: os.urandom(BLOCK_BYTES)} for number in range(8)})])

    def begin(self, **options):
        self.glance.plans = [{'hold_at': len(self.glance.stored) // 2}]
        process = self.start('get_vdis', self.params(), **options)
        self.assertTrue(self.glance.reached.wait(30))
        return process

    def cancel(self):
        began = time.time()
        state = self.call('cancel', {'jobId': self.job})
        self.assertLess(time.time() - began, 8)  # 5, and what a machine with other work takes to start Python
        return state

    def test_status_tells_the_progress(self):
        self.begin()
        end = time.time() + 20
        while self.status()['bytesWritten'] < 4 << 20:
            self.assertLess(time.time(), end)
        state = self.status()
        self.assertEqual((state['state'], state['phase'], state['bytesTotal']), ('running', 'downloading', len(self.glance.stored)))
        self.assertTrue(0 < state['bytesRead'] < state['bytesTotal'])
        self.assertGreater(state['etaSeconds'], 0)

    def test_cancel_at_half(self):
        process = self.begin()
        state = self.cancel()
        self.assertEqual((state['state'], state['error']['code']), ('cancelled', 'CANCELLED'))
        self.fails('CANCELLED', False, process.result)
        self.assert_disk_free()
        self.fails('CANCELLED', False, self.get)

    def test_cancel_while_a_write_hangs(self):
        process = self.start('get_vdis', self.params(), extra_env=fault_env('write hang', 'xvdz', 3))
        while self.status()['phase'] != 'downloading':
            time.sleep(0.05)
        state = self.cancel()
        self.assertEqual(state['state'] if state['error']['code'] == 'CANCELLED' else 'cancelled', 'cancelled')
        process.wait()
        self.cancel()
        self.assertEqual(self.vbds(), [])

    def test_cancel_while_the_disk_cannot_be_unplugged(self):
        process = self.begin()
        self.xapi.unplugs = [DEAF] * 9999
        state = self.cancel()
        self.assertEqual(state['error']['code'], 'VBD_STUCK')
        process.wait()
        self.xapi.unplugs = []
        self.assertEqual((self.cancel()['state'], self.status()['error']['code']), ('cancelled', 'CANCELLED'))
        self.assert_disk_free()

    def test_cancel_after_a_kill_leaves_a_vbd_alone_whose_plug_is_under_way(self):
        self.xapi.hold['VBD.plug'] = plugged = threading.Event()
        process = self.start('get_vdis', self.params())
        self.assertTrue(self.xapi.reached.wait(30))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        self.assertEqual(self.cancel()['error']['code'], 'VBD_STUCK')
        self.assertEqual(len(self.vbds()), 1)
        plugged.set()
        while not self.vbds()[0]['currently_attached']:
            time.sleep(0.02)
        self.assertEqual(self.cancel()['state'], 'cancelled')
        self.assertEqual((self.vbds(), self.xapi.lost), ([], []))

    def test_cancel_after_a_kill_finds_the_vbd_by_its_tag(self):
        process = self.begin()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        self.xapi.add('VBD', other_config={})
        state = self.cancel()
        self.assertEqual((state['state'], state['error']['code']), ('cancelled', 'CANCELLED'))
        self.assertEqual(len(self.vbds()), 1)
        self.assertFalse(self.xapi.forced)

    def test_sigterm(self):
        process = self.begin()
        os.kill(process.pid, signal.SIGTERM)
        self.fails('INTERRUPTED', True, process.result)
        self.assert_disk_free()

    def test_no_trouble_shows_the_token(self):
        self.glance.error_body = '<p>%s</p>' % TOKEN
        self.glance.plans = [{'status': 403}]
        self.assertNotIn(TOKEN, self.get_fails('GLANCE_FORBIDDEN', False).message)
        with open(os.path.join(self.root, 'var/run/xensnap', self.job + '.json')) as state:
            self.assertNotIn(TOKEN, state.read())


class TlsTest(RestoreTest, CertificateTest):
    def test_over_tls_with_a_pinned_certificate(self):
        self.glance = self.a_glance((self.certificate, self.key))
        layers = some_layers(31, 2)
        self.has(layers)
        self.glance.plans = [{'drop_at': len(self.glance.stored) // 2}]
        self.get(fingerprint=self.fingerprint)
        self.assert_disk(disk_of(layers))
        self.job = str(uuid.uuid4())
        self.get_fails('GLANCE_CERTIFICATE', False, fingerprint='0' * 64)


if __name__ == '__main__':
    unittest.main()
