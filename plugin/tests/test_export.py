import hashlib
import io
import os
import re
import signal
import struct
import tarfile
import time
import unittest
import uuid

from support import PluginTest, load_plugin
from vhd_files import BLOCK_BYTES, DYNAMIC, flat_vhd, footer, header, with_checksum

MIB = 1 << 20


class ExportTest(PluginTest):
    """Disks without a chain of VHD files: xapi's export is read instead."""

    def an_export(self, blocks=2, **template):
        """A template whose disk xapi exports as blocks of random bytes with gaps between them."""
        template.setdefault('sr_type', 'lvm')
        self.a_template(chain=template.pop('chain', 1), **template)
        self.files = [name + '.vhd' for name in self.uuids]
        if template['sr_type'] == 'lvm':  # whose volumes no folder shows
            for name in self.files:
                os.unlink(os.path.join(self.sr_path, name))
            self.files = []
        self.export = self.xapi.export
        self.export.data = flat_vhd(dict((3 * index, os.urandom(BLOCK_BYTES)) for index in range(blocks)))

    def expected_files(self):
        return self.files

    def next_job(self):
        self.job = str(uuid.uuid4())
        self.glance = self.a_glance()

    def members(self):
        with tarfile.open(fileobj=io.BytesIO(self.glance.data), mode='r|gz') as bundle:
            return [(member.name, bundle.extractfile(member).read()) for member in bundle]

    def assert_exported(self, **changes):
        result = self.put(**changes)
        self.assertEqual(result['source'], 'export')
        self.assertTrue(self.members() == [('0.vhd', self.export.data)])
        self.assertEqual(result['vhds'], [{'name': '0.vhd', 'uuid': self.uuids[0], 'bytes': len(self.export.data)}])
        self.assert_nothing_left()
        return result

    def assert_refused(self, code, retryable, **changes):
        """No image, and neither task nor session is left."""
        error = self.put_fails(code, retryable, **changes)
        self.assertEqual(self.glance.image['status'], 'queued')
        return error


class SourceTest(ExportTest):
    def test_an_lvm_disk_is_one_flattened_vhd(self):
        self.an_export(blocks=3)  # several chunks, whose order matters
        for threads in (1, 3):
            result = self.assert_exported(threads=threads)
            self.assertEqual(result['bytesRead'], len(self.export.data))
            self.assertEqual(result['virtualBytes'], 256 * BLOCK_BYTES)
            self.assertEqual(result['sha512'], hashlib.sha512(self.glance.data).hexdigest())
            self.assertEqual(self.status()['bytesTotal'], len(self.export.data))
            self.next_job()
        self.assertEqual([sorted(query) for query in self.export.asked], [['format', 'task_id', 'vdi']] * 2)
        self.assertEqual(self.export.asked[0]['format'], 'vhd')

    def test_an_empty_disk(self):
        self.an_export(blocks=0)
        self.assert_exported()

    def test_disks_that_are_no_vhds(self):
        for config in ({'image-format': 'qcow2'}, {'type': 'raw'}, {'vdi_type': 'aio'}):
            self.an_export(sr_type='ext', sm_config=config)
            self.assert_exported()
            self.next_job()

    def test_a_qcow2_file_that_the_record_does_not_tell(self):
        self.an_export(sr_type='ext')
        os.rename(self.path(0), self.path(0).replace('.vhd', '.qcow2'))
        self.files = [self.uuids[0] + '.qcow2']
        self.assert_exported()

    def test_a_chain_of_more_files_than_nova_takes(self):
        self.an_export(sr_type='nfs', chain=17)
        self.assert_exported()

    def test_network_file_systems_on_which_nobody_knows_what_an_open_file_does(self):
        for sr_type in ('smb', 'cephfs', 'glusterfs', 'moosefs', 'file'):
            self.an_export(sr_type=sr_type, chain=2)
            self.assertEqual(self.assert_exported()['warnings'], [])
            self.next_job()
            self.assertIn(sr_type, self.assert_refused('SR_NOT_SUPPORTED', False, source='chain').message)
            self.next_job()

    def test_the_source_that_the_caller_wants(self):
        self.an_export(sr_type='ext', chain=2)
        self.assert_exported(source='export')
        self.next_job()
        self.assertEqual(self.put(source='chain')['source'], 'chain')

    def test_chain_or_nothing(self):
        self.an_export()
        self.assertIn('lvm', self.assert_refused('SR_NOT_SUPPORTED', False, source='chain').message)
        self.an_export(sr_type='ext', sm_config={'image-format': 'qcow2'})
        self.assert_refused('FORMAT_NOT_SUPPORTED', False, source='chain')
        self.an_export(sr_type='ext', chain=17)
        self.assert_refused('CHAIN_TOO_LONG', False, source='chain')
        self.assertEqual(self.export.asked, [])

    def test_a_disk_too_large_for_a_vhd(self):
        self.an_export(virtual_size=str((2040 << 30) + 512))
        self.assertIn('raw', self.assert_refused('DISK_TOO_LARGE', False).message)
        self.assertEqual(self.export.asked, [])

    def test_parameters(self):
        self.an_export()
        for changes in ({'source': 'tape'}, {'format': 'qcow2'}, {'format': 'raw', 'source': 'chain'}, {'format': 1}):
            self.fails('BAD_PARAMS', False, self.put, **changes)

    def test_a_restart_of_xapi_after_the_whole_stream(self):
        self.an_export()
        self.export.task_gone = True
        self.assert_exported()


class RawTest(ExportTest):
    def test_sends_the_disk_as_it_is(self):
        self.an_export(sr_type='ext', chain=2, virtual_size=str(5 * MIB + 512))
        self.export.data = os.urandom(2 * MIB) + b'\0' * (MIB + 512) + os.urandom(2 * MIB)
        result = self.put(format='raw', threads=3)
        self.assertTrue(self.glance.data == self.export.data)
        self.assertEqual((result['format'], result['source'], result['vhds']), ('raw', 'export', []))
        self.assertEqual((result['bytesRead'], result['bytesSent'], result['virtualBytes']), (5 * MIB + 512,) * 3)
        self.assertEqual(result['sha512'], hashlib.sha512(self.export.data).hexdigest())
        self.assertEqual(self.export.asked[0]['format'], 'raw')
        self.assert_nothing_left()

    def test_a_stream_of_another_length(self):
        for difference in (-1, 1):
            self.an_export(virtual_size=str(2 * MIB))
            self.export.data = b'x' * (2 * MIB + difference)
            self.assert_refused('EXPORT_FAILED', True, format='raw')

    def test_takes_its_time_under_a_limit(self):
        self.an_export(virtual_size=str(4 * MIB))
        self.export.data = b'x' * (4 * MIB)
        self.assertGreater(self.put(format='raw', maxBytesPerSecond=2 * MIB)['seconds'], 1.0)


class FailureTest(ExportTest):
    def setUp(self):
        ExportTest.setUp(self)
        self.an_export()

    def test_xapi_refuses(self):
        for status, task_error, code, retryable in (
                (500, ['VDI_IN_USE', 'OpaqueRef:1', 'attach'], 'EXPORT_FAILED', True),
                (500, ['SR_OPERATION_NOT_SUPPORTED', 'OpaqueRef:1'], 'EXPORT_REFUSED', False),
                (404, ['INTERNAL_ERROR', 'Unknown format'], 'EXPORT_REFUSED', False),
                (302, [], 'SR_NOT_ATTACHED', False)):
            self.export.status, self.export.task_error = status, task_error
            error = self.assert_refused(code, retryable)
            if status == 500:
                self.assertIn(task_error[0], error.message)
        self.assertNotIn('PUT', [request[0] for request in self.glance.requests])

    def test_a_failure_after_the_head(self):
        self.export.task_error = ['VDI_TOO_LARGE', 'OpaqueRef:1', '1']
        self.export.ends_at, self.export.more = 0, b'HTTP/1.1 500 Internal Error\r\n\r\n<html>no</html>'
        self.assertIn('VDI_TOO_LARGE', self.assert_refused('EXPORT_REFUSED', False).message)

    def test_a_stream_that_ends_early(self):
        size = len(self.export.data)
        for ends_at in (0, 100, 513, 2049, 4096, size // 2, size - 512, size - 1):
            self.export.ends_at = ends_at
            self.assertIn('ended', self.assert_refused('EXPORT_FAILED', True).message)

    def test_an_early_end_is_told_with_the_cause_that_the_task_knows(self):
        self.export.ends_at, self.export.task_error = 200000, ['VDI_IO_ERROR', 'Device I/O errors']
        self.assertIn('VDI_IO_ERROR Device I/O errors', self.assert_refused('EXPORT_FAILED', True).message)

    def test_a_stream_that_goes_on(self):
        self.export.more = b'x'
        self.assertIn('longer', self.assert_refused('EXPORT_FAILED', True).message)

    def test_a_whole_stream_whose_task_failed(self):
        self.export.task_error = ['VDI_IO_ERROR', 'Device I/O errors']
        self.assertIn('VDI_IO_ERROR', self.assert_refused('EXPORT_FAILED', True).message)

    def test_another_end_than_the_footer(self):
        self.export.data = self.export.data[:-512] + b'\0' * 512
        self.assertIn('footer', self.assert_refused('EXPORT_FAILED', True).message)

    def test_heads_that_cannot_be(self):
        good = self.export.data
        for at, value in ((0, b'conectic'), (70, b'xx'), (512, b'cxsparsf'), (600, b'x')):
            self.export.data = good[:at] + value + good[at + len(value):]
            self.assert_refused('EXPORT_FAILED', True)

    def test_blocks_that_do_not_follow_each_other(self):
        good = self.export.data
        first, = struct.unpack('>I', good[2048:2052])
        at = 2048 + 3 * 4  # the second block's entry
        for entry in (first, first + 1, first + 2 * (BLOCK_BYTES // 512 + 1), 1, 0x7fffffff):
            self.export.data = good[:at] + struct.pack('>I', entry) + good[at + 4:]
            self.assertIn('follow', self.assert_refused('EXPORT_FAILED', True).message)

    def test_xapi_goes_away_in_the_middle(self):
        self.export.hold_at = 200000
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.export.reached.wait(30))
        self.export.ends_at = 200000
        self.xapi.fail['task.get_status'] = ['HOST_STILL_BOOTING']
        self.export.go_on.set()
        self.assertIn('ended', self.fails('EXPORT_FAILED', True, upload.result).message)
        self.assertEqual(self.glance.image['status'], 'queued')

    def test_an_export_that_stands_still(self):
        plugin = load_plugin()
        plugin.EXPORT_SILENCE_SECONDS = 0.3
        source = plugin.ExportSource({'uuid': self.host, 'virtual_size': '100'}, 'raw', plugin.never_stop, None)
        source.files[0].size = 100
        ours, theirs = plugin.socket.socketpair()
        self.addCleanup(theirs.close)
        self.addCleanup(ours.close)
        source.wire = plugin.Wire(ours, plugin.never_stop, 1)
        theirs.sendall(b'x' * 99)
        with self.assertRaises(plugin.PluginError) as caught:
            source.read_into(memoryview(bytearray(100)), 0)
        self.assertEqual((caught.exception.code, caught.exception.retryable), ('EXPORT_FAILED', True))


class StopTest(ExportTest):
    def setUp(self):
        ExportTest.setUp(self)
        self.an_export()
        self.export.hold_at = 2000000
        self.addCleanup(self.export.go_on.set)

    def start_export(self):
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.export.reached.wait(30))
        return upload

    def test_cancel_in_the_middle_of_an_export(self):
        upload = self.start_export()
        began = time.time()
        self.assertEqual(self.call('cancel', {'jobId': self.job})['state'], 'cancelled')
        self.assertLess(time.time() - began, 5)
        self.fails('CANCELLED', False, upload.result)
        self.assert_nothing_left()
        self.export.go_on.set()
        self.assertTrue(self.export.reader_left.wait(10))
        self.assertEqual(self.glance.image['status'], 'queued')

    def test_a_killed_run_leaves_its_task_to_the_next_look(self):
        upload = self.start_export()
        os.kill(upload.pid, signal.SIGKILL)
        upload.wait()
        self.assertEqual([record['status'] for kind, record in self.xapi.records.values() if kind == 'task'], ['pending'])
        state = self.status()
        self.assertEqual((state['state'], state['error']['code']), ('failed', 'INTERRUPTED'))
        self.assertNotIn('exportTask', state)
        self.xapi.sessions.clear()  # the killed one's, which xapi ends after a day
        self.assert_nothing_left()


class MemoryTest(ExportTest):
    def peak_mib(self, upload):
        with io.open('/proc/%d/status' % upload.pid, encoding='ascii') as status:
            return int(re.search(r'VmHWM:\s*(\d+) kB', status.read()).group(1)) >> 10

    def test_does_not_grow_with_the_disk(self):
        for image_format in ('vhd', 'raw'):
            self.an_export(virtual_size=str(192 * MIB))
            end = self.a_large_vhd(192 * MIB) if image_format == 'vhd' else b''
            self.export.data, self.export.zeros, self.export.more = end, 192 * MIB, end[:512]
            self.glance.before_answer = 'stall'
            upload = self.start('put_vdis', self.params(format=image_format, threads=2))
            self.assertTrue(self.glance.reached.wait(60))
            self.assertLess(self.peak_mib(upload), 52)
            self.glance.go_on.set()
            upload.result()
            self.next_job()

    def a_large_vhd(self, size):
        """What comes before `size` bytes of blocks: the BAT is as large as a disk of 2040 GiB needs it."""
        entries, block_bytes = 1044480, 2 * MIB
        stride = 512 + block_bytes
        end = footer(DYNAMIC, 2040 << 30, uuid.uuid4())
        head = bytearray(header(entries, None, u''))
        struct.pack_into('>Q', head, 16, 2048)
        struct.pack_into('>I', head, 32, block_bytes)
        blocks_at = 2048 + 4 * entries
        blocks = size // stride
        blocks_at += size - blocks * stride  # what does not fill a block comes before the first
        table = struct.pack('>%dI' % blocks, *[(blocks_at + n * stride) // 512 for n in range(blocks)])
        return end + with_checksum(head, 36) + b'\0' * 512 + table + b'\xff' * (4 * (entries - blocks))


if __name__ == '__main__':
    unittest.main()
