import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest
import uuid

from support import PluginTest

MAPPING = ((401, 'GLANCE_UNAUTHORIZED', False), (403, 'GLANCE_FORBIDDEN', False), (404, 'IMAGE_GONE', False),
           (409, 'IMAGE_NOT_QUEUED', False), (410, 'IMAGE_GONE', False), (413, 'IMAGE_TOO_LARGE', False),
           (400, 'GLANCE_REFUSED', False), (415, 'GLANCE_REFUSED', False), (302, 'GLANCE_REFUSED', False),
           (501, 'GLANCE_REFUSED', False), (505, 'GLANCE_REFUSED', False), (412, 'GLANCE_REFUSED', False),
           (451, 'GLANCE_UNAVAILABLE', True), (520, 'GLANCE_UNAVAILABLE', True), (408, 'GLANCE_UNAVAILABLE', True), (429, 'GLANCE_UNAVAILABLE', True),
           (500, 'GLANCE_UNAVAILABLE', True), (502, 'GLANCE_UNAVAILABLE', True), (503, 'GLANCE_UNAVAILABLE', True),
           (504, 'GLANCE_UNAVAILABLE', True), (507, 'GLANCE_UNAVAILABLE', True))


class GlanceFailureTest(PluginTest):
    def with_new_glance(self):
        self.glance = self.a_glance()
        return self.glance

    def test_each_status_instead_of_100_continue_costs_no_byte(self):
        self.a_template()
        for status, code, retryable in MAPPING:
            self.with_new_glance().behaviour = status
            error = self.put_fails(code, retryable)
            self.assertIn('%d to PUT' % status, error.message)
            self.assertIn('too bad', error.message)
            self.assertEqual(self.glance.received, 0)
            self.assert_not_uploaded()

    def test_a_status_before_the_upload(self):
        self.a_template()
        for status, code, retryable in MAPPING[:4] + MAPPING[-1:]:
            self.with_new_glance().get_status = status
            self.put_fails(code, retryable)
            self.assertEqual(len(self.glance.requests), 1)

    def test_the_words_of_a_json_error(self):
        self.a_template()
        self.glance.behaviour, self.glance.error_body = 413, '{"code": "413", "message": "image_size_cap\\n\\n"}'
        self.assertTrue(self.put_fails('IMAGE_TOO_LARGE', False).message.endswith(': image_size_cap'))

    def test_an_image_that_is_not_queued(self):
        self.a_template()
        self.glance.image['status'] = 'active'
        self.assertIn('active', self.put_fails('IMAGE_NOT_QUEUED', False).message)
        self.assertEqual(len(self.glance.requests), 1)

    def test_an_early_answer_stops_the_stream(self):
        self.a_template(blocks=250)
        for status, code in ((413, 'IMAGE_TOO_LARGE'), (410, 'IMAGE_GONE')):
            glance = self.with_new_glance()
            glance.at_bytes, glance.behaviour = 300000, status
            self.put_fails(code, False)
            self.assert_not_uploaded()
            self.assertLess(glance.received, 12 << 20)

    def test_a_status_after_the_last_byte(self):
        self.a_template()
        for status, code, retryable in ((413, 'IMAGE_TOO_LARGE', False), (500, 'GLANCE_UNAVAILABLE', True)):
            self.with_new_glance().before_answer = status
            self.put_fails(code, retryable)

    def test_success_before_everything_was_sent_is_none(self):
        self.a_template(blocks=250)
        self.glance.at_bytes, self.glance.behaviour = 200000, 204
        self.put_fails('GLANCE_REFUSED', False)

    def test_a_connection_that_breaks_in_the_middle(self):
        self.a_template(blocks=40)
        self.glance.at_bytes, self.glance.behaviour = 200000, 'drop'
        self.put_fails('GLANCE_UNAVAILABLE', True)
        self.assert_not_uploaded()

    def test_a_connection_that_breaks_near_the_beginning_or_the_end_and_holds_in_the_next_try(self):
        self.a_template(blocks=60)
        first_job, self.job = self.job, str(uuid.uuid4())
        self.glance.image['id'] = self.job
        whole = self.put(imageId=self.job)
        self.job = first_job
        for percent in (10, 99):
            glance = self.with_new_glance()
            glance.at_bytes, glance.behaviour = whole['bytesSent'] * percent // 100, 'drop'
            self.put_fails('GLANCE_UNAVAILABLE', True)
            self.assert_not_uploaded()
            self.assertGreaterEqual(glance.received, glance.at_bytes)
            self.assertEqual(self.put()['sha512'], whole['sha512'])
            self.assertEqual(glance.image['status'], 'active')
            self.assert_nothing_left()
            self.job = str(uuid.uuid4())

    def test_a_connection_that_breaks_at_once(self):
        self.a_template()
        self.glance.behaviour = 'drop'
        self.put_fails('GLANCE_UNAVAILABLE', True)

    def test_a_last_answer_that_never_comes(self):
        self.a_template()
        self.glance.before_answer, self.glance.get_status_after_put = 'drop', 401
        self.put_fails('GLANCE_UNAVAILABLE', True)

    def test_a_glance_that_stalls(self):
        self.a_template()
        self.glance.behaviour = 'stall'
        self.assertIn('1 seconds', self.put_fails('GLANCE_UNAVAILABLE', True, timeoutSeconds=1).message)

    def test_nobody_listens(self):
        self.a_template()
        self.put_fails('GLANCE_UNAVAILABLE', True, glanceUrl='http://127.0.0.1:%d' % free_port())

    def test_a_name_that_does_not_resolve(self):
        self.a_template()
        self.put_fails('GLANCE_UNAVAILABLE', True, glanceUrl='http://no-such-host.invalid:9292')

    def test_a_record_that_differs(self):
        self.a_template()
        for spoilt in ({'size': 7}, {'os_hash_value': 'f' * 128}):
            self.with_new_glance().spoilt = spoilt
            self.put_fails('HASH_MISMATCH', False)

    def test_a_token_that_does_not_fit_in_a_header(self):
        self.a_template()
        self.secret = self.xapi.add('secret', value='two\r\nlines: x')
        error = self.put_fails('GLANCE_UNAUTHORIZED', False)
        self.assertNotIn('lines', error.message)
        self.assertEqual(self.glance.requests, [])


def free_port():
    sock = socket.socket()
    sock.bind(('127.0.0.1', 0))
    port = sock.getsockname()[1]
    sock.close()
    return port


class TlsTest(PluginTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='xensnap-plugin-tls-')
        cls.key, cls.certificate = os.path.join(cls.folder, 'key.pem'), os.path.join(cls.folder, 'cert.pem')
        with open(os.path.join(cls.folder, 'conf'), 'w') as conf:
            conf.write('[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n[dn]\nCN=localhost\n[ext]\n'
                       'subjectAltName=DNS:localhost\nbasicConstraints=critical,CA:true\n'
                       'keyUsage=critical,digitalSignature,keyCertSign\nsubjectKeyIdentifier=hash\n')
        subprocess.check_output(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-config',
                                 conf.name, '-keyout', cls.key, '-out', cls.certificate], stderr=subprocess.STDOUT)
        with open(cls.certificate) as handle:
            cls.pem = handle.read()
        cls.fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(cls.pem)).hexdigest()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def setUp(self):
        PluginTest.setUp(self)
        self.a_template()
        self.glance = self.a_glance((self.certificate, self.key))

    def test_trusts_the_given_ca(self):
        self.assertEqual(self.put(caPem=self.pem)['glance'], 'matches')

    def test_trusts_the_pinned_certificate(self):
        colons = ':'.join(self.fingerprint[n:n + 2] for n in range(0, 64, 2)).upper()
        self.assertEqual(self.put(fingerprint=colons)['glance'], 'matches')

    def test_refuses_another_certificate_before_anything_is_sent(self):
        self.put_fails('GLANCE_CERTIFICATE', False, fingerprint='0' * 64)
        self.assertEqual(self.glance.requests, [])

    def test_refuses_a_certificate_that_no_ca_of_the_host_signed(self):
        self.put_fails('GLANCE_CERTIFICATE', False)
        self.assertEqual(self.glance.requests, [])

    def test_refuses_a_certificate_for_another_name(self):
        self.put_fails('GLANCE_CERTIFICATE', False, caPem=self.pem,
                       glanceUrl=self.glance.url.replace('localhost', '127.0.0.1'))
        self.assertEqual(self.glance.requests, [])

    def test_hears_an_early_answer_through_tls(self):
        self.a_template(blocks=250)
        self.glance.at_bytes, self.glance.behaviour = 300000, 413
        self.put_fails('IMAGE_TOO_LARGE', False, fingerprint=self.fingerprint)
        self.assert_not_uploaded()


if __name__ == '__main__':
    unittest.main()
