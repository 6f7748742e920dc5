"""What is read of an SR, and that nothing of ours is ever there."""
import io
import os
import shutil
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

from support import PluginTest, fault_env, load_plugin
from vhd_files import spoil

CAN_MOUNT = subprocess.call(['unshare', '-m', 'mount', '-t', 'tmpfs', 'none', '/mnt'], stdout=open(os.devnull, 'w'),
                            stderr=subprocess.STDOUT) == 0 if os.path.exists('/usr/bin/unshare') else False


class Watcher(threading.Thread):
    """Looks at a folder all the time: which names it ever has, and the most links of any file."""

    def __init__(self, folder):
        threading.Thread.__init__(self)
        self.folder = folder
        self.names, self.links, self.looks = set(), 0, 0
        self.stopped = False
        self.daemon = True

    def run(self):
        while not self.stopped:
            for name in os.listdir(self.folder):
                self.names.add(name)
                try:
                    self.links = max(self.links, os.lstat(os.path.join(self.folder, name)).st_nlink)
                except OSError:
                    pass  # gone meanwhile
            self.looks += 1
            time.sleep(0.001)

    def stop(self):
        self.stopped = True
        self.join()


class NothingOfOursTest(PluginTest):
    def setUp(self):
        PluginTest.setUp(self)
        self.a_template(chain=3, pieces=100)
        self.watcher = Watcher(self.sr_path)
        self.watcher.start()
        self.addCleanup(self.watcher.stop)

    def assert_nothing_was_there(self):
        self.watcher.stop()
        self.assertGreater(self.watcher.looks, 3)
        self.assertEqual(self.watcher.names, set(self.expected_files()))
        self.assertEqual(self.watcher.links, 1)

    def test_during_an_upload(self):
        self.put()
        self.assert_nothing_was_there()

    def test_during_an_upload_that_is_cancelled_and_one_that_is_killed(self):
        for stop in (lambda upload: self.call('cancel', {'jobId': self.job}), lambda upload: upload.process.kill()):
            self.glance = self.a_glance()
            self.glance.at_bytes, self.glance.behaviour = 300000, 'stall'
            upload = self.start('put_vdis', self.params())
            self.assertTrue(self.glance.reached.wait(30))
            stop(upload)
            upload.wait()
            self.job = str(uuid.uuid4())
            self.glance.go_on.set()
        self.assert_nothing_was_there()

    def test_during_an_upload_that_fails(self):
        self.glance.at_bytes, self.glance.behaviour = 300000, 'hold'
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        os.utime(self.path(1), (1, 1))
        self.glance.go_on.set()
        self.fails('CHAIN_CHANGED', True, upload.result)
        self.assert_nothing_was_there()

    @unittest.skipUnless(CAN_MOUNT, 'needs the right to mount in a namespace of its own')
    def test_an_sr_that_cannot_be_written_is_read_all_the_same(self):
        script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && ! touch "$1/x" || exit 9; shift; exec "$@"'
        upload = self.start('put_vdis', self.params(),
                            before=['unshare', '-m', 'sh', '-c', script, 'sh', self.sr_path])
        code = upload.wait()
        self.assertEqual(code, 0)
        self.assertEqual(self.glance.image['status'], 'active')

    def test_what_the_first_version_left_is_not_touched(self):
        """Neither its folder nor the state of its jobs that names one."""
        folder = os.path.join(self.sr_path, 'xensnap-staging-%s-%s' % (self.host, self.job))
        os.mkdir(folder)
        os.link(self.path(0), os.path.join(folder, '0.vhd'))
        os.makedirs(os.path.join(self.root, 'var/run/xensnap'), 0o700)
        with io.open(os.path.join(self.root, 'var/run/xensnap', self.job + '.json'), 'w') as out:
            out.write(u'{"state": "running", "phase": "uploading", "staging": "%s", "exportTask": null, "error": null, '
                      u'"result": null, "imageId": "%s"}' % (folder, self.job))
        state = self.status()
        self.assertEqual((state['state'], state['error']['code']), ('failed', 'INTERRUPTED'))
        self.assertNotIn('staging', state)
        self.put()
        self.call('cancel', {'jobId': self.job})
        self.assertEqual(os.listdir(folder), ['0.vhd'])


class ChangeTest(PluginTest):
    """A change is noticed in seconds, wherever in the chain it is and whatever is read at the time."""

    def setUp(self):
        PluginTest.setUp(self)
        self.a_template(chain=3, pieces=250)

    def open_files(self, process):
        found = []
        folder = '/proc/%d/fd' % process.pid
        for name in os.listdir(folder):
            try:
                target = os.readlink(os.path.join(folder, name))
            except OSError:
                continue
            if target.startswith(self.sr_path):
                found.append(target)
        return found

    def test_each_file_is_open_before_the_first_byte(self):
        self.glance.behaviour = 'stall'
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        self.assertTrue(set(self.open_files(upload)) >= set(self.path(number) for number in range(3)))

    def test_it_is_noticed_long_before_the_file_s_end(self):
        for change in (lambda: os.utime(self.path(2), (1, 1)), lambda: spoil(self.path(1), -700),
                       lambda: os.unlink(self.path(2))):
            self.a_template(chain=3, pieces=250)
            self.glance = self.a_glance()
            self.glance.at_bytes, self.glance.behaviour = 100000, 'hold'
            upload = self.start('put_vdis', self.params(maxBytesPerSecond=1 << 20))
            self.assertTrue(self.glance.reached.wait(30))
            self.glance.go_on.set()
            change()
            began, had = time.time(), self.glance.received
            self.fails('CHAIN_CHANGED', True, upload.result)
            self.assertLess(time.time() - began, 8)
            self.assertLess(self.glance.received - had, 8 << 20)
            self.assert_not_uploaded()

    def test_it_is_noticed_while_glance_does_not_read(self):
        self.glance.at_bytes, self.glance.behaviour = 300000, 'stall'
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        os.unlink(self.path(2))
        self.fails('CHAIN_CHANGED', True, upload.result)

    def test_a_link_that_sm_makes_is_no_change(self):
        """Its snapshots link a base under another name for a moment, which changes ctime and the number of links."""
        self.glance.at_bytes, self.glance.behaviour = 300000, 'hold'
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        other = self.path(2) + '.new'
        os.link(self.path(2), other)
        os.unlink(other)
        self.glance.go_on.set()
        self.assertEqual(upload.result()['glance'], 'matches')

    def test_cancel_while_a_look_at_the_names_hangs(self):
        """A dead NFS server, in the middle and before the end."""
        for behaviour in ('stall', 'hold'):
            self.glance = self.a_glance()
            self.glance.at_bytes, self.glance.behaviour = 300000, behaviour
            self.job = str(uuid.uuid4())
            upload = self.start('put_vdis', self.params(), extra_env=fault_env('open hang', '.vhd'))
            self.assertTrue(self.glance.reached.wait(30))
            if behaviour == 'hold':
                self.glance.go_on.set()
                end = time.time() + 30
                while self.status()['bytesRead'] < self.status()['bytesTotal']:
                    self.assertLess(time.time(), end)
            began = time.time()
            self.assertEqual(self.call('cancel', {'jobId': self.job})['state'], 'cancelled')
            self.assertLess(time.time() - began, 5)
            self.fails('CANCELLED', False, upload.result)
            self.assertFalse(self.glance.terminated)


class DescriptorTest(unittest.TestCase):
    """By the plugin's own code, without a process."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='xensnap-chain-')
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.plugin = load_plugin()
        self.plugin.CHECK_SECONDS = 0.05
        self.source = self.plugin.ChainSource()
        self.addCleanup(self.source.release)
        for number in range(3):
            path = os.path.join(self.folder, '%d.vhd' % number)
            with io.open(path, 'wb') as out:
                out.write(b'x' * 5000)
            self.source.files.append(self.plugin.ChainFile(path))

    def until(self, condition):
        end = time.time() + 20
        while not condition():
            self.assertLess(time.time(), end, 'waited too long')
            time.sleep(0.01)

    def all_closed(self):
        return all(part.handle.closed for part in self.source.files)

    def held(self):
        """What this process holds of files that have been deleted: on an NFS client, a file .nfs<number> each."""
        found = []
        for name in os.listdir('/proc/self/fd'):
            try:
                target = os.readlink('/proc/self/fd/' + name)
            except OSError:
                continue
            if target.startswith(self.folder) and target.endswith('(deleted)'):
                found.append(target)
        return found

    def trouble(self):
        with self.assertRaises(self.plugin.PluginError) as caught:
            self.source.still_good()
        return caught.exception

    def test_all_are_closed_at_the_first_difference_though_nobody_asks(self):
        os.unlink(self.source.files[1].path)
        self.assertEqual(len(self.held()), 1)
        self.source.stage()
        self.until(self.all_closed)
        self.assertEqual(self.held(), [])
        self.assertEqual((self.trouble().code, self.trouble().retryable), ('CHAIN_CHANGED', True))

    def test_a_reader_in_the_middle_of_a_read_closes_its_own(self):
        part = self.source.files[0]
        real = part.is_hole

        def is_hole(*args):
            self.source.fail(part.changed('changed'))
            self.assertEqual([one.handle.closed for one in self.source.files], [False, True, True])
            return real(*args)
        part.is_hole = is_hole
        part.read_into(memoryview(bytearray(100)), 0)
        self.assertTrue(self.all_closed())

    def test_whoever_reads_on_hears_what_was_found_first(self):
        self.source.fail(self.plugin.PluginError('CHAIN_CHANGED', 'this came first', True))
        with self.assertRaises(self.plugin.PluginError) as caught:
            self.source.read_into(self.source.files[0], 0, memoryview(bytearray(100)))
        self.assertEqual(caught.exception.message, 'this came first')

    def test_the_last_look_closes_them_and_nothing_is_found_after_it(self):
        self.source.stage()
        self.source.verify()
        self.assertTrue(self.all_closed())
        os.unlink(self.source.files[1].path)
        self.source.look_at_all()
        self.source.still_good()

    def test_the_last_look_sees_every_kind_of_change(self):
        def replaced(path):
            shutil.copy2(path, path + '.new')
            os.rename(path + '.new', path)

        def grown(path):
            status = os.stat(path)
            with io.open(path, 'ab') as out:
                out.write(b'y')
            os.utime(path, (status.st_mtime, status.st_mtime))

        for change in (replaced, grown, os.unlink, lambda path: os.utime(path, (1, 1)),
                       lambda path: os.rename(path, path + '.old')):
            for number in range(3):
                self.source.release()
                self.setUp()
                change(self.source.files[number].path)
                with self.assertRaises(self.plugin.PluginError) as caught:
                    self.source.verify()
                self.assertEqual(caught.exception.code, 'CHAIN_CHANGED')
                self.assertTrue(self.all_closed())

    def test_a_last_look_that_hangs_has_an_end(self):
        self.plugin.CHECK_LIMIT_SECONDS = 0.2
        hang = threading.Event()
        self.addCleanup(hang.set)
        self.source.files[0].verify = lambda: hang.wait(30)
        with self.assertRaises(self.plugin.PluginError) as caught:
            self.source.verify()
        self.assertEqual((caught.exception.code, caught.exception.retryable), ('SR_IO_ERROR', True))

    def test_a_read_that_hangs_has_an_end(self):
        self.plugin.READ_LIMIT_SECONDS = 0.2
        self.plugin.STOP_THREADS_SECONDS = 0.1
        hang = threading.Event()
        self.addCleanup(hang.set)
        self.source.files[1].is_hole = lambda offset, size: hang.wait(30)
        compressor = self.plugin.GzipCompressor(1, 2)
        with self.assertRaises(self.plugin.PluginError) as caught:
            part = self.source.files[1]
            list(compressor.compress(self.plugin.Chunk(size, fill, part) for size, fill in self.source.reads(part)))
        compressor.close()
        self.assertEqual((caught.exception.code, caught.exception.retryable), ('SR_IO_ERROR', True))

    def test_an_error_of_the_server_is_no_change(self):
        def broken():
            raise self.plugin.PluginError('SR_IO_ERROR', 'x: Input/output error', True)
        self.source.files[2].verify = broken
        self.source.look_at_all()
        self.assertEqual(self.trouble().code, 'SR_IO_ERROR')
        self.assertTrue(self.all_closed())

    def test_holes_are_not_believed_where_told_so(self):
        path = os.path.join(self.folder, 'sparse.vhd')
        with io.open(path, 'wb') as out:
            out.truncate(1 << 20)
        for holes in (True, False):
            part = self.plugin.ChainFile(path, holes)
            self.addCleanup(part.close)
            self.assertFalse(not holes and part.is_hole(0, 4096))


if __name__ == '__main__':
    unittest.main()
