"""What `get_vdis` needs: a disk that xapi can plug, an image that Glance has."""
import hashlib
import io
import json
import os
import uuid

from images import bundle_of
from support import PluginTest

INSTALLATION = 'test-installation'


class RestoreTest(PluginTest):
    def setUp(self):
        PluginTest.setUp(self)
        self.control = self.xapi.add('VM', VBDs=[], is_control_domain=True)
        self.xapi.add('host', uuid=self.host, enabled=True, control_domain=self.control)
        self.host_record = [record for kind, record in self.xapi.records.values() if kind == 'host'][0]
        self.vdi = str(uuid.uuid4())
        self.xapi.add('VDI', uuid=self.vdi)
        self.device = os.path.join(self.root, 'dev/xvdz')
        os.makedirs(os.path.dirname(self.device))
        self.disk_bytes = 16 << 20
        self.fill_disk(b'\0')

    def fill_disk(self, byte):
        """The disk as it is before."""
        with io.open(self.device, 'wb') as out:
            if byte == b'\0':
                out.truncate(self.disk_bytes)
            else:
                out.write(byte * self.disk_bytes)

    def has(self, layers, **options):
        self.glance.store(bundle_of(layers, **options))

    def params(self, **changes):
        params = PluginTest.params(self, templateRef=None, vdiUuid=self.vdi, virtualBytes=self.disk_bytes, format='vhd',
                                   sizeBytes=len(self.glance.stored), sha512=hashlib.sha512(self.glance.stored).hexdigest(),
                                   readsAsZeros=True, installation=INSTALLATION)
        del params['templateRef']
        params.update(changes)
        return params

    template = None

    def get(self, extra_env=None, **changes):
        return self.call('get_vdis', self.params(**changes), extra_env=extra_env)

    def get_fails(self, code, retryable, **changes):
        error = self.fails(code, retryable, self.get, **changes)
        self.assertEqual(error.job, self.job)
        state = self.state()
        self.assertEqual((state['state'], state['error']['code'], state['error']['retryable']), ('failed', code, retryable))
        self.assert_disk_free()
        return error

    def state(self):
        with io.open(os.path.join(self.root, 'var/run/xensnap', self.job + '.json'), encoding='ascii') as handle:
            return json.loads(handle.read())

    def disk(self):
        with io.open(self.device, 'rb') as handle:
            return handle.read()

    def assert_disk(self, expected):
        """Byte for byte, and zeros behind it."""
        found = self.disk()
        expected = expected.ljust(len(found), b'\0')
        if found != expected:
            at = next(at for at in range(0, len(found), 512) if found[at:at + 512] != expected[at:at + 512])
            self.fail('the disk differs from sector %d on' % (at // 512))

    def vbds(self):
        return [record for kind, record in self.xapi.records.values() if kind == 'VBD']

    def assert_disk_free(self):
        self.assertEqual(self.vbds(), [])
        self.assertFalse(self.xapi.forced)
        self.assertEqual(self.xapi.sessions, set())
        self.assertEqual([name for name in os.listdir(os.path.dirname(self.device))], ['xvdz'])
