# coding: utf-8
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import unittest
import uuid

from support import CALLER_SESSION, PLUGIN, TOKEN, PluginTest, load_plugin, xmlrpclib
from vhd_files import DYNAMIC, footer, header


class ProtocolTest(PluginTest):
    def test_version_says_what_runs_where(self):
        self.assertEqual(self.call('version', {}), {
            'version': '1.0.0', 'api': 2, 'python': '%d.%d.%d' % sys.version_info[:3], 'host': self.host,
            'functions': ['cancel', 'put_vdis', 'status', 'sweep', 'version']})

    def test_version_where_the_inventory_is_missing(self):
        os.unlink(os.path.join(self.root, 'etc/xensource-inventory'))
        self.fails('HOST_UNKNOWN', False, self.call, 'version', {})

    def test_reads_the_call_as_xapi_writes_it(self):
        for struct in ('<struct/>', '<struct></struct>',
                       '<struct><member><name>params</name><value>{}</value></member></struct>',
                       '<struct><member><name>params</name><value/></member></struct>'):
            call = ('<methodCall><methodName>version</methodName><params><param><value>OpaqueRef:1</value></param>'
                    '<param><value>%s</value></param></params></methodCall>' % struct)
            env = {'PATH': os.environ['PATH'], 'XENSNAP_DOM0_ROOT': self.root}
            answer = subprocess.check_output([sys.executable, PLUGIN, call], env=env, cwd='/')
            self.assertIn(self.host, answer.decode('ascii'))

    def test_an_unknown_function(self):
        process = self.start('upload_vhd', {})
        process.wait()
        (answer,), _ = xmlrpclib.loads(process.out)
        self.assertEqual(answer, {'Status': 'Failure',
                                  'ErrorDescription': ['UNKNOWN_XENAPI_PLUGIN_FUNCTION', 'upload_vhd']})

    def test_prints_nothing_but_one_line_of_ascii(self):
        process = self.start('status', json.dumps({u'jöbId <&>': 1}))
        process.wait()
        self.assertTrue(process.out.startswith(b'<?xml version="1.0"?><methodResponse>'))
        self.assertTrue(process.out.endswith(b'</methodResponse>'))
        self.assertNotIn(b'\n', process.out)
        process.out.decode('ascii')
        (answer,), _ = xmlrpclib.loads(process.out)
        self.assertTrue(answer['ErrorDescription'][1].startswith(u'jöbId <&> is not known'))

    def test_a_human_gets_usage(self):
        for arguments, code in (([], 2), (['--help'], 0), (['nonsense'], 2), (['<xml/>'], 2)):
            process = subprocess.Popen([sys.executable, PLUGIN] + arguments, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            out, err = process.communicate()
            self.assertEqual(process.returncode, code)
            self.assertIn(b'xe host-call-plugin', out if code == 0 else err)
            self.assertEqual(out if code else err, b'')

    def test_status_of_a_job_that_is_not_known(self):
        state = self.status()
        self.assertEqual(sorted(state), sorted([
            'state', 'phase', 'bytesRead', 'bytesTotal', 'bytesSent', 'bytesPerSecond', 'etaSeconds', 'run',
            'startedAt', 'updatedAt', 'result', 'error']))
        self.assertEqual(state['state'], 'unknown')

    def test_bad_params_name_the_field_and_what_it_must_be(self):
        plugin = load_plugin()
        self.template = 'OpaqueRef:' + str(uuid.uuid4())
        for changes, words in (
                ({'jobId': None}, 'jobId is missing'), ({'jobId': '../../etc'}, 'jobId must be a UUID'),
                ({'jobId': self.job + '\n'}, 'jobId must be'), ({'imageId': 7}, 'imageId must be'),
                ({'glanceUrl': 'ftp://x'}, 'glanceUrl must be http'), ({'glanceUrl': 'http://u:p@x'}, 'glanceUrl'),
                ({'glanceUrl': 'http://x:port'}, 'glanceUrl'), ({'glanceUrl': 'http://x/\r\nA: b'}, 'glanceUrl'),
                ({'templateRef': None}, 'templateRef and templateUuid'),
                ({'templateUuid': self.job}, 'templateRef and templateUuid'),
                ({'device': 0}, 'device must be'), ({'level': 0}, 'level must be'), ({'level': 10}, 'level'),
                ({'level': True}, 'level'), ({'level': '1'}, 'level'), ({'level': 1.5}, 'level'),
                ({'threads': 0}, 'threads must be'), ({'threads': 17}, 'threads'), ({'nice': -1}, 'nice must be'),
                ({'nice': 20}, 'nice'), ({'maxBytesPerSecond': 1000}, 'maxBytesPerSecond must be'),
                ({'maxBytesPerSecond': '1e9'}, 'maxBytesPerSecond'), ({'timeoutSeconds': 0}, 'timeoutSeconds'),
                ({'tokenSecret': 'no'}, 'tokenSecret'), ({'caPem': 'no'}, 'caPem'),
                ({'fingerprint': 'ab'}, 'fingerprint'), ({'fingerprint': 'a' * 64}, 'https://'), ({'vdi_uuids': []}, 'vdi_uuids is not known')):
            with self.assertRaises(plugin.PluginError) as caught:
                plugin.read_put_params(json.dumps(self.params(**changes)))
            self.assertEqual((caught.exception.code, caught.exception.retryable), ('BAD_PARAMS', False))
            self.assertIn(words, caught.exception.message)
        for changes in ({}, {'level': 'auto', 'threads': 4, 'nice': 0, 'maxBytesPerSecond': 1 << 26}):
            plugin.read_put_params(json.dumps(self.params(**changes)))
        for text in ('{', '[]', '"x"'):
            self.fails('BAD_PARAMS', False, self.call, 'put_vdis', text)
        self.assertEqual(self.xapi.calls, [])


class XapiTest(PluginTest):
    def test_errors_of_xapi_keep_their_code(self):
        self.a_template()
        self.xapi.fail['SR.get_record'] = ['HANDLE_INVALID', 'SR', self.sr]
        self.assertIn('HANDLE_INVALID', self.put_fails('XAPI_ERROR', False).message)
        self.xapi.fail['session.login_with_password'] = ['HOST_STILL_BOOTING']
        self.assertIn('HOST_STILL_BOOTING', self.put_fails('XAPI_ERROR', True).message)

    def test_a_secret_that_is_gone(self):
        self.a_template()
        self.assertIn('UUID_INVALID', self.put_fails('XAPI_ERROR', False, tokenSecret=str(uuid.uuid4())).message)

    def test_xapi_that_does_not_answer(self):
        self.a_template()
        os.unlink(os.path.join(self.root, 'var/lib/xcp/xapi'))
        self.put_fails('XAPI_ERROR', True)

    def test_no_session_is_open_during_the_upload(self):
        self.a_template()
        self.glance.behaviour = 'hold'
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        self.assertEqual(self.xapi.sessions, set())
        self.glance.go_on.set()
        upload.result()
        self.assertLess(len(self.xapi.calls), 15)


class SecrecyTest(PluginTest):
    def setUp(self):
        PluginTest.setUp(self)
        self.a_template(blocks=40)
        self.shown = []

    def look(self, process):
        for name in ('cmdline', 'environ'):
            with io.open('/proc/%d/%s' % (process.pid, name), 'rb') as handle:
                self.shown.append(handle.read())

    def assert_hidden(self, process):
        self.shown += [process.out, process.err]
        for folder, _, names in os.walk(os.path.join(self.root, 'var/run/xensnap')):
            for name in names:
                with io.open(os.path.join(folder, name), 'rb') as handle:
                    self.shown.append(handle.read())
        for text in self.shown:
            self.assertNotIn(TOKEN.encode('ascii'), text)
            self.assertNotIn(b'OpaqueRef:session-', text)

    def test_the_token_is_seen_nowhere_during_and_after_an_upload(self):
        self.glance.at_bytes, self.glance.behaviour = 200000, 'hold'
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        self.look(upload)
        self.glance.go_on.set()
        upload.result()
        self.assert_hidden(upload)

    def test_a_glance_that_repeats_the_token_in_its_error(self):
        self.glance.behaviour, self.glance.error_body = 401, 'token %s is bad' % TOKEN
        upload = self.start('put_vdis', self.params())
        error = self.fails('GLANCE_UNAUTHORIZED', False, upload.result)
        self.assertIn('token (hidden) is bad', error.message)
        self.status()
        self.assert_hidden(upload)

    def test_an_error_of_xapi_that_repeats_a_session(self):
        self.xapi.fail['VM.get_VBDs'] = ['SESSION_INVALID', CALLER_SESSION]
        upload = self.start('put_vdis', self.params())
        error = self.fails('XAPI_ERROR', True, upload.result)
        self.assertNotIn(CALLER_SESSION, error.message)
        self.assert_hidden(upload)


class SizeTest(PluginTest):
    def test_memory_does_not_grow_with_the_disk(self):
        self.a_template(chain=1)
        disk = uuid.uuid4()
        end = footer(DYNAMIC, 1 << 30, disk)
        with open(self.path(0), 'wb') as out:
            out.write(end + header(16384, None, u''))
            out.truncate(192 << 20)
            out.seek(0, 2)
            out.write(end)
        self.glance.before_answer = 'stall'
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(60))
        self.assertEqual(self.status()['bytesRead'], (192 << 20) + 512)
        with io.open('/proc/%d/status' % upload.pid, encoding='ascii') as status:
            peak_kib = int(re.search(r'VmHWM:\s*(\d+) kB', status.read()).group(1))
        self.assertLess(peak_kib, 48 << 10)

    def test_tar_headers_hold_sizes_beyond_8_gib(self):
        plugin = load_plugin()
        for size in (0, 511, 8 ** 11 - 1, 8 ** 11, 2040 << 30):
            block = plugin.tar_header('15.vhd', size)
            if sys.version_info[0] == 2:
                member = tarfile.TarInfo.frombuf(block)
            else:
                member = tarfile.TarInfo.frombuf(block, 'utf-8', 'strict')
            self.assertEqual((member.name, member.size, member.mode, member.mtime), ('15.vhd', size, 0o644, 0))


if __name__ == '__main__':
    unittest.main()
