import os
import shutil
import unittest
import uuid

from support import NULL, PluginTest, fault_env, write_vhd
from vhd_files import spoil


class DiskFailureTest(PluginTest):
    def assert_no_byte_sent(self):
        self.assertNotIn('PUT', [request[0] for request in self.glance.requests])

    def test_no_disk_at_the_device(self):
        self.a_template()
        self.put_fails('NO_DISK', False, device='5')
        self.assert_no_byte_sent()

    def test_no_disk_when_its_vbd_is_empty(self):
        self.a_template()
        for kind, record in self.xapi.records.values():
            if kind == 'VBD':
                record['VDI'] = NULL
        self.put_fails('NO_DISK', False)

    def test_nfs_is_supported(self):
        self.a_template(sr_type='nfs')
        self.assertEqual(self.put()['glance'], 'matches')

    def test_sr_that_is_not_attached(self):
        self.a_template()
        shutil.rmtree(self.sr_path)
        self.fails('SR_NOT_ATTACHED', False, self.put)

    def test_leaf_that_is_not_there(self):
        self.a_template(chain=1)
        os.unlink(self.path(0))
        self.fails('VHD_MISSING', False, self.put)

    def test_bad_checksums(self):
        for number, offset, what in ((0, 300, 'copy of the footer'), (1, 300, 'copy of the footer'),
                                     (1, 512 + 700, 'checksum of the header')):
            self.a_template()
            spoil(self.path(number), offset)
            error = self.put_fails('VHD_INVALID', False, source='chain')
            self.assertIn(what, error.message)
            self.assertIn(self.uuids[number], error.message)

    def test_what_neither_we_nor_xapi_can_read(self):
        def no_footer(path):
            spoil(path, -512)
            spoil(path, 0)

        for number, damage, what in ((0, no_footer, 'no footer'), (1, no_footer, 'no footer'),
                                     (1, lambda path: spoil(path, 512), 'no header'),
                                     (0, lambda path: spoil(path, 512 + 24), 'header')):
            self.a_template()
            damage(self.path(number))
            error = self.put_fails('VHD_INVALID', False)
            self.assertIn(what, error.message)
            self.assertIn(self.uuids[number], error.message)
        self.assertEqual(self.xapi.export.asked, [])

    def test_file_that_is_cut_off_before_its_header(self):
        for size in (0, 100, 511):
            self.a_template()
            with open(self.path(0), 'r+b') as handle:
                handle.truncate(size)
            self.put_fails('VHD_INVALID', False)

    def test_leaf_that_is_hidden(self):
        self.a_template(chain=1)
        write_vhd(self.path(0), {}, hidden=True)
        self.assertIn('hidden', self.put_fails('VHD_INVALID', False, source='chain').message)

    def test_parent_that_is_gone(self):
        self.a_template(chain=3)
        os.unlink(self.path(2))
        self.assertIn(self.uuids[2], self.fails('VHD_PARENT_MISSING', False, self.put).message)

    def test_parent_of_the_right_name_that_is_another_disk(self):
        self.a_template(chain=2)
        write_vhd(self.path(1), {})
        self.assertIn('another disk', self.put_fails('VHD_PARENT_MISSING', False).message)

    def test_what_is_no_regular_file_is_not_opened(self):
        for number in (0, 1):
            self.a_template()
            os.unlink(self.path(number))
            os.mkfifo(self.path(number))
            self.assertIn('no regular file', self.put_fails('VHD_INVALID', False).message)
        self.a_template()
        os.unlink(self.path(1))
        os.mkfifo(os.path.join(self.sr_path, 'coalesce_' + str(uuid.uuid4())))
        self.fails('VHD_PARENT_MISSING', False, self.put)

    def test_parent_name_that_leads_out_of_the_sr(self):
        self.a_template(chain=1)
        outside = write_vhd(os.path.join(self.sr_path, '..', 'outside.vhd'), {})
        write_vhd(self.path(0), {}, outside, u'../outside.vhd')
        self.put_fails('VHD_PARENT_MISSING', False, source='chain')

    def test_sixteen_files_and_no_more(self):
        self.a_template(chain=17, pieces=1)
        self.put_fails('CHAIN_TOO_LONG', False, source='chain')
        self.a_template(chain=16, pieces=1)
        self.assertEqual(len(self.put()['vhds']), 16)

    def put_with_fault(self, fault, ending=''):
        return self.call('put_vdis', self.params(), extra_env=fault_env(fault, ending))

    def test_errors_of_the_file_system(self):
        self.a_template()
        for error, code in (('EIO', 'SR_IO_ERROR'), ('ENOENT', 'CHAIN_CHANGED'), ('ESTALE', 'CHAIN_CHANGED')):
            self.fails(code, True, self.put_with_fault, 'open ' + error, '.vhd')
            self.assert_nothing_left()

    def test_the_unexpected_is_internal_with_class_and_words(self):
        self.a_template()
        error = self.fails('INTERNAL', False, self.put_with_fault, 'lseek What is this?')
        self.assertEqual(error.message, 'ValueError: What is this?')
        self.assertEqual(self.status()['error']['code'], 'INTERNAL')
        self.assert_nothing_left()


class ChangedChainTest(PluginTest):
    def setUp(self):
        PluginTest.setUp(self)
        self.a_template(chain=2, pieces=250)  # more than fits in the sockets' buffers
        self.glance.at_bytes, self.glance.behaviour = 200000, 'hold'

    def change_while_uploading(self, change):
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        change()
        self.glance.go_on.set()
        self.fails('CHAIN_CHANGED', True, upload.result)
        self.assert_not_uploaded()

    def test_a_file_that_was_read_already_is_written(self):
        self.change_while_uploading(lambda: spoil(self.path(0), 3000))

    def test_a_file_that_is_still_to_be_read_is_written(self):
        self.change_while_uploading(lambda: spoil(self.path(1), -700))

    def test_an_attribute_changes_its_time_only(self):
        self.change_while_uploading(lambda: os.utime(self.path(1), (1, 1)))

    def test_the_coalescer_removes_a_file(self):
        self.change_while_uploading(lambda: os.unlink(self.path(1)))

    def test_the_coalescer_puts_another_file_in_its_place(self):
        def replace():
            os.unlink(self.path(1))
            write_vhd(self.path(1), {})
        self.change_while_uploading(replace)

    def test_a_fifo_takes_a_file_s_place(self):
        def replace():
            os.unlink(self.path(1))
            os.mkfifo(self.path(1))
        self.change_while_uploading(replace)

    def test_a_file_shrinks(self):
        def shrink():
            with open(self.path(1), 'r+b') as handle:
                handle.truncate(4096)
        self.change_while_uploading(shrink)


if __name__ == '__main__':
    unittest.main()
