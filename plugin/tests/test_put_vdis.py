import hashlib
import io
import json
import os
import tarfile
import unittest
import uuid
import zlib

from support import BLOCK_BYTES, TOKEN, PluginTest, write_vhd


def read(path):
    with io.open(path, 'rb') as handle:
        return handle.read()


class PutVdisTest(PluginTest):
    def test_uploads_the_chain_from_the_leaf_to_the_base(self):
        self.a_template(chain=3)
        contents = [read(self.path(number)) for number in range(3)]
        result = self.put()
        data = self.glance.data
        self.assertEqual([(one['name'], one['uuid'], one['bytes']) for one in result['vhds']],
                         [('%d.vhd' % n, self.uuids[n], len(contents[n])) for n in range(3)])
        self.assertEqual(result['bytesRead'], sum(map(len, contents)))
        self.assertEqual(result['bytesSent'], len(data))
        self.assertEqual(result['sha512'], hashlib.sha512(data).hexdigest())
        self.assertEqual(result['virtualBytes'], 256 * BLOCK_BYTES)
        self.assertEqual(result['warnings'], [])
        self.assertEqual(result['glance'], 'matches')
        self.assertEqual(result['jobId'], self.job)
        with tarfile.open(fileobj=io.BytesIO(data), mode='r|gz') as bundle:
            members = [(member.name, bundle.extractfile(member).read()) for member in bundle]
        self.assertEqual(members, [('%d.vhd' % n, contents[n]) for n in range(3)])
        self.assert_nothing_left()

    def test_says_first_what_vm_it_was(self):
        self.a_template()
        config = {'version': 1, 'name': u'caf\u00e9 \U0001f680', 'nics': [{'device': '0'}], 'nvram': 'A' * 80000}
        self.put(vmConfig=config)
        with tarfile.open(fileobj=io.BytesIO(self.glance.data), mode='r|gz') as bundle:
            members = [(member.name, bundle.extractfile(member).read(), member.mtime) for member in bundle]
        self.assertEqual([name for name, _data, _time in members], ['vm.json', '0.vhd', '1.vhd'])
        self.assertEqual(json.loads(members[0][1].decode('ascii')), config)
        self.assertEqual(members[0][2], members[1][2])
        self.assert_nothing_left()

    def test_makes_one_gzip_member_without_a_time(self):
        self.a_template()
        self.put()
        inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        plain = inflate.decompress(self.glance.data) + inflate.flush()
        self.assertEqual(inflate.unused_data, b'')
        self.assertEqual(len(plain) % 10240, 0)
        self.assertEqual(self.glance.data[4:8], b'\0\0\0\0')

    def test_makes_the_same_bytes_again(self):
        self.a_template()
        first = self.put()
        self.glance = self.a_glance()
        self.job = str(uuid.uuid4())
        self.assertEqual(self.put(tokenSecret=None, imageId=self.glance.image['id'])['sha512'], first['sha512'])

    def test_makes_the_same_bytes_whatever_the_number_of_threads(self):
        self.a_template()
        made = []
        for changes in ({}, {'threads': 1}, {'threads': 5, 'level': 'auto', 'nice': 0}, {'level': 1}):
            made.append(self.put(**changes)['sha512'])
            self.glance, self.job = self.a_glance(), str(uuid.uuid4())
        self.assertEqual(len(set(made)), 1)

    def test_takes_its_time_under_a_limit(self):
        self.a_template(chain=1)
        with io.open(self.path(0), 'rb') as handle:
            data = handle.read()
        with io.open(self.path(0), 'wb') as out:
            out.write(data[:-512] + b'\0' * (3 << 20) + data[-512:])
        self.assertGreater(self.put(maxBytesPerSecond=2 << 20)['seconds'], 1.0)

    def test_sends_the_token_from_the_secret_and_destroys_the_secret(self):
        self.a_template()
        self.put()
        self.assertEqual([request[2].get('x-auth-token') for request in self.glance.requests], [TOKEN] * 3)
        self.assertNotIn(self.secret, self.xapi.records)
        method, path, headers = self.glance.requests[1]
        self.assertEqual((method, path), ('PUT', '/v2/images/%s/file' % self.job))
        self.assertEqual(headers['content-type'], 'application/octet-stream')
        self.assertEqual(headers['transfer-encoding'], 'chunked')
        self.assertEqual(headers['expect'], '100-continue')

    def test_finds_the_template_by_uuid_and_the_disk_by_device(self):
        self.a_template(device='2')
        result = self.put(templateRef=None, templateUuid=self.xapi.records[self.template][1]['uuid'], device='2')
        self.assertEqual(result['vhds'][0]['uuid'], self.uuids[0])

    def test_takes_an_endpoint_with_a_prefix(self):
        self.a_template()
        self.put(glanceUrl=self.glance.url + '/image/')
        self.assertEqual(self.glance.requests[0][1], '/image/v2/images/%s' % self.job)

    def test_goes_on_when_the_server_does_not_know_expect(self):
        self.a_template()
        self.glance.sends_continue = False
        self.assertEqual(self.put(timeoutSeconds=1)['glance'], 'matches')

    def test_follows_a_stale_parent_name_by_the_word_of_xapi(self):
        self.a_template(chain=2)
        write_vhd(self.path(0), {}, self.footers[1], u'%s.vhd' % uuid.uuid4())
        self.assertEqual([one['uuid'] for one in self.put()['vhds']], self.uuids)

    def test_follows_xapi_where_the_name_leads_to_another_disk(self):
        self.a_template(chain=2)
        other = str(uuid.uuid4())
        write_vhd(os.path.join(self.sr_path, other + '.vhd'), {})
        write_vhd(self.path(0), {}, self.footers[1], u'./%s.vhd' % other)
        self.assertEqual([one['uuid'] for one in self.put()['vhds']], self.uuids)

    def test_answers_a_second_call_after_success_with_the_same_result(self):
        self.a_template()
        first = self.put()
        self.assertEqual(self.put(), first)
        self.assertEqual([request[0] for request in self.glance.requests], ['GET', 'PUT', 'GET'])

    def test_tells_status_the_result(self):
        self.a_template()
        result = self.put()
        state = self.status()
        self.assertEqual((state['state'], state['phase'], state['result'], state['error']),
                         ('succeeded', 'checking', result, None))
        self.assertEqual(state['bytesRead'], state['bytesTotal'])
        self.assertEqual(state['bytesSent'], result['bytesSent'])
        self.assertNotIn('sent', state)

    def test_says_unchecked_when_the_token_has_expired_by_then(self):
        self.a_template()
        self.glance.get_status_after_put = 401
        self.assertEqual(self.put()['glance'], 'unchecked')

    def test_counts_a_lost_last_answer_as_success_when_the_record_matches(self):
        self.a_template()
        self.glance.before_answer = 'drop'
        self.assertEqual(self.put()['glance'], 'matches')

if __name__ == '__main__':
    unittest.main()
