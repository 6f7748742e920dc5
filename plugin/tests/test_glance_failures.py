import socket
import time
import unittest
import uuid

from support import CertificateTest, PluginTest, load_plugin

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
        self.a_template(pieces=250)
        for status, code in ((413, 'IMAGE_TOO_LARGE'), (410, 'IMAGE_GONE')):
            glance = self.with_new_glance()
            glance.at_bytes, glance.behaviour = 300000, status
            self.put_fails(code, False)
            self.assert_not_uploaded()
            self.assertLess(glance.received, 12 << 20)

    def test_a_status_after_the_last_byte(self):
        self.a_template()
        for status, code, retryable in ((413, 'IMAGE_TOO_LARGE', False), (400, 'GLANCE_REFUSED', False)):
            self.with_new_glance().before_answer = status
            self.glance.refuses = 1
            self.put_fails(code, retryable)
            self.assertEqual([request[0] for request in self.glance.requests], ['GET', 'PUT'])

    def test_success_before_everything_was_sent_is_none(self):
        self.a_template(pieces=250)
        self.glance.at_bytes, self.glance.behaviour = 200000, 204
        self.put_fails('GLANCE_UNAVAILABLE', True)

    def test_a_connection_that_breaks_in_the_middle(self):
        self.a_template(pieces=40)
        self.glance.at_bytes, self.glance.behaviour = 200000, 'drop'
        self.put_fails('GLANCE_UNAVAILABLE', True)
        self.assert_not_uploaded()

    def test_a_connection_that_breaks_near_the_beginning_or_the_end_and_holds_in_the_next_try(self):
        self.a_template(pieces=60)
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
        self.a_template(pieces=250)
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


class ProxyTest(PluginTest):
    """A proxy gives up while Glance goes on: after any answer but a clear refusal, Glance's record decides."""

    NOT_CLEAR = (408, 409, 499, 500, 501, 502, 503, 504, 520, 302, 'drop')

    def setUp(self):
        PluginTest.setUp(self)
        self.a_template()

    def with_answer(self, answer, **behaviour):
        self.glance, self.job = self.a_glance(), str(uuid.uuid4())
        self.glance.before_answer = answer
        for name, value in behaviour.items():
            setattr(self.glance, name, value)

    def methods(self):
        return [request[0] for request in self.glance.requests]

    def test_the_image_is_good_all_the_same(self):
        for answer in self.NOT_CLEAR:
            self.with_answer(answer)
            self.assertEqual(self.put()['glance'], 'matches')
            self.assertEqual(self.methods(), ['GET', 'PUT', 'GET'])

    def test_a_store_that_takes_its_time(self):
        self.with_answer(504, saving_seconds=3)
        self.assertEqual(self.put()['glance'], 'matches')
        self.assertGreater(self.methods().count('GET'), 2)

    def test_glance_did_not_take_it(self):
        for answer in (408, 499, 502, 503, 504, 'drop'):
            self.with_answer(answer, refuses=1)
            self.put_fails('GLANCE_UNAVAILABLE', True)
            self.assertEqual(self.glance.image['status'], 'queued')

    def test_a_success_that_the_record_denies(self):
        self.with_answer(None, refuses=1)
        self.assertIn('the image is queued', self.put_fails('GLANCE_UNAVAILABLE', True).message)
        self.assertEqual(self.put()['glance'], 'matches')
        self.assertEqual(self.methods().count('PUT'), 2)
        self.with_answer(None, status_after='killed')
        self.fails('IMAGE_NOT_QUEUED', False, self.put)

    def test_interim_answers_without_an_end(self):
        self.with_answer('interim')
        self.assertEqual(self.put(timeoutSeconds=1)['glance'], 'matches')
        self.with_answer('interim', refuses=1)
        self.assertIn('no end for 1 seconds', self.put_fails('GLANCE_UNAVAILABLE', True, timeoutSeconds=1).message)

    def test_other_data_than_was_sent(self):
        self.with_answer(504, spoilt={'os_hash_value': 'f' * 128})
        self.put_fails('HASH_MISMATCH', False)

    def test_other_ends_are_named(self):
        for status, code in (('killed', 'IMAGE_NOT_QUEUED'), ('deactivated', 'IMAGE_NOT_QUEUED'), ('deleted', 'IMAGE_GONE')):
            self.with_answer(504, status_after=status)
            self.assertIn(status, self.fails(code, False, self.put).message)
        self.with_answer(504, get_status_after_put=404)
        self.fails('IMAGE_GONE', False, self.put)

    def test_an_early_answer_in_the_middle_is_a_failure_that_may_be_tried_again(self):
        self.a_template(pieces=250)
        for status in (408, 499, 502, 504):
            self.with_answer(None, at_bytes=300000, behaviour=status)
            self.put_fails('GLANCE_UNAVAILABLE', True)
            self.assert_not_uploaded()

    def test_the_next_try_finds_what_the_last_one_sent_when_its_token_had_expired(self):
        self.with_answer(504, get_status_after_put=401)
        self.fails('GLANCE_UNAVAILABLE', True, self.put)
        self.glance.get_status_after_put = 200
        result = self.put()
        self.assertEqual(result['glance'], 'matches')
        self.assertEqual((result['sha512'], result['bytesSent']),
                         (self.glance.image['os_hash_value'], self.glance.image['size']))
        self.assertEqual(self.methods().count('PUT'), 1)
        self.assertEqual(self.put(), result)
        self.assertNotIn('sent', self.status())

    def killed_at_the_end(self, **behaviour):
        self.with_answer('stall', **behaviour)
        upload = self.start('put_vdis', self.params())
        self.assertTrue(self.glance.reached.wait(30))
        upload.process.kill()
        upload.wait()

    def test_the_next_try_after_a_process_that_died_waiting(self):
        for seconds in (0, 3):
            self.killed_at_the_end(saving_seconds=seconds)
            self.assertEqual(self.put()['glance'], 'matches')
            self.assertEqual(self.methods().count('PUT'), 1)

    def test_the_next_try_sends_again_what_glance_did_not_take_after_saving(self):
        self.killed_at_the_end(saving_seconds=2, refuses=1)
        self.glance.before_answer = None
        self.assertEqual(self.put()['glance'], 'matches')
        self.assertEqual(self.methods().count('PUT'), 2)

    def test_the_next_try_finds_something_else(self):
        self.killed_at_the_end(spoilt={'size': 7})
        self.fails('HASH_MISMATCH', False, self.put)
        self.with_answer(None)
        self.glance.image.update(status='active', size=7)
        self.fails('IMAGE_NOT_QUEUED', False, self.put)

    def test_cancel_while_it_waits_for_saving(self):
        self.with_answer(504, saving_seconds=60)
        upload = self.start('put_vdis', self.params())
        end = time.time() + 30
        while self.methods().count('GET') < 2:
            self.assertLess(time.time(), end)
            time.sleep(0.02)
        began = time.time()
        self.assertEqual(self.call('cancel', {'jobId': self.job})['state'], 'cancelled')
        self.assertLess(time.time() - began, 5)
        self.fails('CANCELLED', False, upload.result)


class SavingLimitTest(unittest.TestCase):
    """By the plugin's own code and a clock of the test's."""

    def setUp(self):
        self.plugin = load_plugin()
        self.now, self.looks = 1000.0, []
        self.plugin.clock = lambda: self.now

    def a_glance(self, *records):
        plugin, left = self.plugin, list(records)
        glance = plugin.Glance({'glanceUrl': plugin.GlanceUrl('http://x'), 'imageId': 'x', 'caPem': None,
                                'fingerprint': None, 'timeoutSeconds': 1}, None, self.tick)

        def record():
            self.looks.append(self.now)
            found = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(found, Exception):
                raise found
            return {'status': found}
        glance.record = record
        return glance

    def tick(self):
        self.now += 0.5

    def fails(self, code, retryable, run, *args):
        with self.assertRaises(self.plugin.PluginError) as caught:
            run(*args)
        self.assertEqual((caught.exception.code, caught.exception.retryable), (code, retryable))
        return caught.exception

    def heard(self, code='GLANCE_UNAVAILABLE'):
        return self.plugin.PluginError(code, 'Glance answered 504', True)

    def test_saving_for_ever(self):
        self.plugin.SAVING_SECONDS = 10
        error = self.fails('IMAGE_NOT_QUEUED', False, self.plugin.upload_outcome, self.a_glance('saving'), self.heard(), 1, 'x')
        self.assertIn('Glance answered 504; the image has been saving for 10 seconds', error.message)
        self.assertTrue(10 <= self.now - 1000 < 14, self.now)
        self.assertTrue(4 <= len(self.looks) <= 8, self.looks)
        self.fails('IMAGE_NOT_QUEUED', False, self.plugin.require_queued, self.a_glance('saving'), (1, 'x'))
        self.assertGreater(self.now - 1000, 10)
        self.plugin.ABORTED_SECONDS = 5
        self.fails('IMAGE_NOT_QUEUED', False, self.plugin.require_queued, self.a_glance('saving'))

    def test_a_record_that_cannot_be_read_for_a_while(self):
        self.plugin.RECORD_SECONDS = 6
        glance = self.a_glance(self.heard(), self.heard(), 'queued')
        self.fails('GLANCE_UNAVAILABLE', True, self.plugin.upload_outcome, glance, self.heard(), 1, 'x')
        self.assertEqual(len(self.looks), 3)
        self.fails('GLANCE_UNAVAILABLE', True, self.plugin.upload_outcome, self.a_glance(self.heard()), self.heard(), 1, 'x')
        self.assertLess(len(self.looks), 9)

    def test_before_anything_is_sent_a_record_that_cannot_be_read_is_a_failure_at_once(self):
        self.fails('GLANCE_UNAVAILABLE', True, self.plugin.require_queued, self.a_glance(self.heard()))
        self.assertEqual(len(self.looks), 1)


def free_port():
    sock = socket.socket()
    sock.bind(('127.0.0.1', 0))
    port = sock.getsockname()[1]
    sock.close()
    return port


class TlsTest(CertificateTest):
    def setUp(self):
        CertificateTest.setUp(self)
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
        self.a_template(pieces=250)
        self.glance.at_bytes, self.glance.behaviour = 300000, 413
        self.put_fails('IMAGE_TOO_LARGE', False, fingerprint=self.fingerprint)
        self.assert_not_uploaded()


if __name__ == '__main__':
    unittest.main()
