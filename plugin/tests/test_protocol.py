# coding: utf-8
import io
import json
import os
import re
import stat
import subprocess
import sys
import tarfile
import unittest
import uuid

from support import CALLER_SESSION, HERE, PLUGIN, TOKEN, PluginFailure, PluginTest, load_plugin, xmlrpclib

from src.main import string_value
from src.tar import tar_header
from vhd_files import DYNAMIC, footer, header


class ProtocolTest(PluginTest):
    def test_version_says_what_runs_where(self):
        self.assertEqual(self.call('version', {}), {
            'version': '2.1.0', 'api': 4, 'python': '%d.%d.%d' % sys.version_info[:3], 'host': self.host,
            'functions': ['cancel', 'get_vdis', 'leftovers', 'put_vdis', 'status', 'version']})

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
                ({'vmConfig': '{}'}, 'vmConfig must be'), ({'vmConfig': {'version': 1, 'x': 'x' * 115000}}, 'vmConfig must be'),
                ({'fingerprint': 'ab'}, 'fingerprint'), ({'fingerprint': 'a' * 64}, 'https://'), ({'vdi_uuids': []}, 'vdi_uuids is not known')):
            with self.assertRaises(plugin.PluginError) as caught:
                plugin.read_put_params(json.dumps(self.params(**changes)))
            self.assertEqual((caught.exception.code, caught.exception.retryable), ('BAD_PARAMS', False))
            self.assertIn(words, caught.exception.message)
        for changes in ({}, {'level': 'auto', 'threads': 4, 'nice': 0, 'maxBytesPerSecond': 1 << 26}):
            plugin.read_put_params(json.dumps(self.params(**changes)))
        for text in ('{', '[]', '"x"', '[' * 100000, '{"jobId":' * 9000, '{"jobId": [%s[]]}' % ('[],' * 30000)):
            self.assertIn('params', self.fails('BAD_PARAMS', False, self.call, 'put_vdis', text).message)
        self.assertEqual(self.xapi.calls, [])

    def test_values_that_no_field_can_hold_are_named(self):
        plugin = load_plugin()
        self.template = 'OpaqueRef:' + str(uuid.uuid4())
        values = ('1e400', '-1e400', 'NaN', 'Infinity', '-Infinity', '9' * 30, '9' * 100000, '1.' + '9' * 100000, '[' * 500 + ']' * 500,
                  '{"a": {}}', '"\\ud800"', '"\\u0000"', '"\\uff11"', u'"\xb2"', u'"\u0663"', 'true', '""', '"' + 'x' * 100000 + '"')
        for field in sorted(plugin.PUT_FIELDS):
            for value in values:
                text = json.dumps(dict(self.params(caPem=None), **{field: 'HERE'})).replace('"HERE"', value)
                with self.assertRaises(plugin.PluginError) as caught:
                    plugin.read_put_params(text)
                self.assertEqual((caught.exception.code, caught.exception.retryable), ('BAD_PARAMS', False))
                self.assertTrue(caught.exception.message.startswith(field + ' must be'), (field, value[:20], caught.exception.message))
                self.assertLess(len(caught.exception.message), 200)

    def test_params_that_are_no_text_or_no_utf8(self):
        for value in (7, 1.5, True, [], {'a': 'b'}, xmlrpclib.Binary(b'{}')):
            call = xmlrpclib.dumps((CALLER_SESSION, {'params': value}), 'put_vdis')
            self.assertIn('params must be JSON', self.answer_to(call)[1])
        for field, value in (('jobId', b'\xff\xfe'), ('glanceUrl', b'http://\xc3\x28'), ('caPem', b'-----BEGIN \xe9-----END ')):
            params = json.dumps(dict(self.params_of_strangers(), **{field: 'HERE'}))
            call = xmlrpclib.dumps((CALLER_SESSION, {'params': params}), 'put_vdis').encode('ascii').replace(b'HERE', value)
            self.assertEqual(self.answer_to(call)[:1], ['BAD_PARAMS'])
            self.assertIn(field, self.answer_to(call)[1])
        self.assertIn('FUNCTION', self.answer_to(xmlrpclib.dumps((CALLER_SESSION, {}), 'HERE').encode('ascii').replace(b'HERE', b'\xff'))[0])

    def params_of_strangers(self):
        return {'jobId': self.job, 'imageId': self.job, 'templateUuid': self.job, 'glanceUrl': 'https://x'}

    def answer_to(self, call):
        env = {'PATH': os.environ['PATH'], 'XENSNAP_DOM0_ROOT': self.root}
        process = subprocess.Popen([sys.executable, PLUGIN, call], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate()
        self.assertEqual((process.returncode, err), (0, b''))
        (answer,), _ = xmlrpclib.loads(out)
        return answer['ErrorDescription']


class StringTest(unittest.TestCase):
    def test_holds_every_character_that_xml_may_hold_and_a_question_mark_for_any_other(self):
        for code in range(0x10000):
            text = json.loads(u'"\\u%04x"' % code)
            valid = re.match(u'[\t\n\r\x20-\ud7ff\ue000-\ufffd]', text) is not None
            want = u'?' if not valid else text if text in u'\t\n\r' or 0x20 <= code < 0x80 else u'&#%d;' % code
            want = {u'&': u'&amp;', u'<': u'&lt;', u'>': u'&gt;'}.get(want, want)
            self.assertEqual(string_value(text), u'<string>%s</string>' % want, hex(code))
        self.assertEqual(string_value(json.loads('"a\\ud83d\\ude00b"')),
                         '<string>a%sb</string>' % ('?' * len(json.loads('"\\ud83d\\ude00"'))))


class XapiTest(PluginTest):
    def test_errors_of_xapi_keep_their_code(self):
        self.a_template()
        self.xapi.fail['SR.get_type'] = ['HANDLE_INVALID', 'SR', self.sr]
        self.assertIn('HANDLE_INVALID', self.put_fails('XAPI_ERROR', False).message)
        self.xapi.fail['session.login_with_password'] = ['HOST_STILL_BOOTING']
        self.assertIn('HOST_STILL_BOOTING', self.put_fails('XAPI_ERROR', True).message)

    def test_answers_of_xapi_that_are_of_another_kind(self):
        self.a_template()
        disk = next(ref for ref, (kind, record) in self.xapi.records.items() if kind == 'VDI' and record['uuid'] == self.uuids[0])
        vdi, sr, vm = (self.xapi.records[ref][1] for ref in (disk, self.sr, self.template))
        for record, field, values in (
                (vdi, 'uuid', ('../../etc/passwd', 7)), (vdi, 'virtual_size', ('1e400', {})), (vdi, 'SR', (7,)),
                (vdi, 'sm_config', (['x'],)), (sr, 'uuid', ('../..',)), (sr, 'type', ([],)), (vm, 'VBDs', ({'a': 'b'}, [7]))):
            good = record[field]
            for value in values:
                record[field] = value
                self.assertIn('unreadable answer', self.put_fails('XAPI_ERROR', True).message)
            record[field] = good
        for value in ('x' * 5000000, 7):
            secret = self.xapi.records[self.xapi.add('secret', value=value)][1]['uuid']
            self.put_fails('XAPI_ERROR', True, tokenSecret=secret)
        self.assertEqual(self.glance.requests, [])

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
        self.a_template(pieces=40)
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


    def test_half_a_token_is_not_shown_either(self):
        for body in ('x' * 190 + TOKEN, '{"message": "%s"}' % ('<b>' * 60 + 'y' * 180 + TOKEN)):
            self.glance = self.a_glance()
            self.glance.behaviour, self.glance.error_body = 413, body
            message = self.put_fails('IMAGE_TOO_LARGE', False).message
            self.assertNotIn(TOKEN[:6], message)

    def troubles(self):
        """Ways to fail, each with a text that repeats the token where that can be."""
        says = 'X-Auth-Token: %s is no good' % TOKEN
        json_says = json.dumps({'message': says})
        yield 'GLANCE_FORBIDDEN', dict(get_status=403, error_body=says)
        yield 'IMAGE_TOO_LARGE', dict(behaviour=413, error_body=json_says)
        yield 'IMAGE_GONE', dict(behaviour=410, at_bytes=200000, error_body='<html><p>%s</p></html>' % says)
        yield 'GLANCE_UNAVAILABLE', dict(before_answer=500, refuses=1, error_body=json_says)
        yield 'GLANCE_UNAVAILABLE', dict(behaviour='drop', at_bytes=200000)
        yield 'HASH_MISMATCH', dict(spoilt={'os_hash_value': TOKEN})
        yield 'CANCELLED', dict(behaviour='stall', at_bytes=200000)
        yield 'INTERRUPTED', dict(behaviour='stall', at_bytes=200000)
        yield None, {}

    def test_the_token_is_in_no_file_argument_environment_call_error_or_log_whatever_goes_wrong(self):
        watched = os.path.join(self.root, 'watched')
        env = {'PYTHONPATH': os.path.join(HERE, 'watched'), 'XENSNAP_WATCHED': watched}
        ports = set()
        for code, behaviour in self.troubles():
            self.job, self.glance = str(uuid.uuid4()), self.a_glance()
            ports.add(str(self.glance.port))
            for name, value in behaviour.items():
                setattr(self.glance, name, value)
            upload = self.start('put_vdis', self.params(), extra_env=env)
            if code in ('CANCELLED', 'INTERRUPTED'):
                self.assertTrue(self.glance.reached.wait(30))
                self.look_at_every_process()
                self.start('cancel', {'jobId': self.job}).wait() if code == 'CANCELLED' else upload.process.terminate()
            if code:
                with self.assertRaises(PluginFailure) as caught:
                    upload.result()
                self.assertEqual(caught.exception.code, code)
            else:
                self.assertEqual(upload.result()['glance'], 'matches')
            self.assertEqual(upload.err, b'')
            self.assertEqual([request[2].get('x-auth-token') for request in self.glance.requests[:1]], [TOKEN])
            self.assert_hidden(upload)
            self.assert_nothing_left()
        self.assertIn('(hidden)', ''.join(text.decode('latin-1') for text in self.shown))
        for folder, _, names in os.walk(self.root):
            for name in names:
                if not stat.S_ISSOCK(os.stat(os.path.join(folder, name)).st_mode):
                    with io.open(os.path.join(folder, name), 'rb') as handle:
                        self.assertNotIn(TOKEN.encode('ascii'), handle.read())
        for body in self.xapi.bodies:
            self.assertNotIn(TOKEN.encode('ascii'), body)
        # Nobody else was spoken to: not syslog, nor anything that could write it down.
        with io.open(watched, encoding='utf-8') as handle:
            lines = set(handle.read().splitlines())
        self.assertEqual(lines, set(['connect ' + os.path.join(self.root, 'var/lib/xcp/xapi')]
                                    + ['connect ' + port for port in ports]))

    def look_at_every_process(self):
        for pid in os.listdir('/proc'):
            for name in ('cmdline', 'environ'):
                try:
                    with io.open('/proc/%s/%s' % (pid, name), 'rb') as handle:
                        self.shown.append(handle.read())
                except (IOError, OSError):
                    continue  # no process, or one that has ended


class SizeTest(PluginTest):
    def test_memory_does_not_grow_with_the_disk(self):
        self.a_template(chain=1)
        disk = uuid.uuid4()
        end = footer(DYNAMIC, 1 << 30, disk)
        with open(self.path(0), 'wb') as out:
            out.write(end + header(16384, None, u'') + b'\xff' * 65536)
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
        for size in (0, 511, 8 ** 11 - 1, 8 ** 11, 2040 << 30):
            block = tar_header('15.vhd', size, 1700000000)
            if sys.version_info[0] == 2:
                member = tarfile.TarInfo.frombuf(block)
            else:
                member = tarfile.TarInfo.frombuf(block, 'utf-8', 'strict')
            self.assertEqual((member.name, member.size, member.mode, member.mtime),
                             ('15.vhd', size, 0o644, 1700000000))


if __name__ == '__main__':
    unittest.main()
