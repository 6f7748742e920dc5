"""A dom0 in a temporary folder, with a fake xapi and a fake Glance; the plugin runs as xapi runs it."""
import hashlib
import io
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import types
import unittest
import uuid

from fake_glance import FakeGlance
from fake_xapi import NULL, FakeXapi, xmlrpclib
from vhd_files import BLOCK_BYTES, write_vhd

HERE = os.path.dirname(os.path.abspath(__file__))
PLUGIN_FOLDER = os.path.dirname(HERE)
PLUGIN = os.path.join(PLUGIN_FOLDER, 'glance')
TOKEN = 'gAAAAA-a-token-nobody-may-see'
CALLER_SESSION = 'OpaqueRef:caller-session'


sys.path.append(PLUGIN_FOLDER)  # for its parts, as src.<name>, and join.py
with io.open(PLUGIN, 'rb') as source:
    COMPILED = compile(source.read(), PLUGIN, 'exec')


def load_plugin():
    """The file as a module of its own, for what needs no process."""
    plugin = types.ModuleType('plugin')
    exec(COMPILED, plugin.__dict__)
    return plugin


class PluginFailure(Exception):
    def __init__(self, description):
        Exception.__init__(self, ' '.join(description))
        self.code = description[0]
        self.message = description[1] if len(description) > 1 else ''
        self.retryable = {'retryable': True, 'permanent': False}.get(description[2] if len(description) > 2 else None)
        self.job = description[3] if len(description) > 3 else None


class PluginProcess(object):
    """One execution of the file, the way xapi does it: one argument, no standard input."""

    def __init__(self, root, function, params, stdout=None, extra_env=None, before=()):
        args = {'params': params if isinstance(params, str) else json.dumps(params)}
        self.argument = xmlrpclib.dumps((CALLER_SESSION, args), function).replace('\n', '')
        env = dict(os.environ, XENSNAP_DOM0_ROOT=root, **(extra_env or {}))
        self.process = subprocess.Popen(list(before) + [sys.executable, PLUGIN, self.argument], env=env,
                                        stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE)
        self.pid = self.process.pid
        self.out = self.err = None

    def wait(self):
        watchdog = threading.Timer(60, self.process.kill)
        watchdog.start()
        try:
            self.out, self.err = self.process.communicate()
        finally:
            watchdog.cancel()
        return self.process.returncode

    def result(self):
        """The JSON value, by xapi's rules: exit 0 and nothing but one response on standard output."""
        code = self.wait()
        if code != 0:
            raise AssertionError('exit %s: %s %s' % (code, self.out, self.err))
        (answer,), _ = xmlrpclib.loads(self.out)
        if answer['Status'] == 'Failure':
            raise PluginFailure(answer['ErrorDescription'])
        return json.loads(answer['Value'])


def fault_env(fault, ending='', spares=0):
    """The environment of a plugin with such a fault; see faults/sitecustomize.py."""
    return {'PYTHONPATH': os.path.join(HERE, 'faults'), 'XENSNAP_FAULT': fault, 'XENSNAP_FAULT_ENDING': ending,
            'XENSNAP_FAULT_SPARES': str(spares)}


PIECE_BYTES = 1 << 16


def random_blocks(pieces):
    """{index: bytes} of so much random data; what of a block is not filled stays a hole."""
    in_block = BLOCK_BYTES // PIECE_BYTES
    return dict((first // in_block, os.urandom(min(in_block, pieces - first) * PIECE_BYTES))
                for first in range(0, pieces, in_block))


class PluginTest(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix='xensnap-plugin-')
        self.addCleanup(shutil.rmtree, self.root, True)
        self.host = str(uuid.uuid4())
        self.job = str(uuid.uuid4())
        self.write_inventory()
        self.xapi = FakeXapi(os.path.join(self.root, 'var/lib/xcp/xapi'))
        self.addCleanup(self.xapi.close)
        self.glance = self.a_glance()
        self.secret = self.xapi.add('secret', value=TOKEN)
        self.processes = []
        self.addCleanup(self.kill_the_rest)

    def kill_the_rest(self):
        for one in self.processes:
            if one.process.poll() is None:
                one.process.kill()
                one.wait()
            for pipe in (one.process.stdout, one.process.stderr):
                if pipe:
                    pipe.close()

    def write_inventory(self):
        os.makedirs(os.path.join(self.root, 'etc'))
        with open(os.path.join(self.root, 'etc/xensource-inventory'), 'w') as out:
            out.write("PRODUCT_BRAND='XCP-ng'\nINSTALLATION_UUID='%s'\n" % self.host)

    def a_glance(self, tls_files=None):
        glance = FakeGlance(self.job, tls_files)
        self.addCleanup(glance.close)
        return glance

    def a_template(self, chain=2, sr_type='ext', pieces=2, device='0', **vdi_fields):
        """A snapshot template with an empty CD drive and a disk of `chain` files: so many pieces of 64 KiB of random
        data in each, but one in the leaf."""
        self.sr = self.xapi.add('SR', type=sr_type)
        sr_uuid = self.xapi.records[self.sr][1]['uuid']
        self.sr_path = os.path.join(self.root, 'var/run/sr-mount', sr_uuid)
        os.makedirs(self.sr_path)
        self.uuids = [str(uuid.uuid4()) for _ in range(chain)]
        self.write_chain(pieces)
        for number, vdi_uuid in enumerate(self.uuids):
            config = {'vhd-parent': self.uuids[number + 1]} if number + 1 < chain else {}
            config.update(vdi_fields.get('sm_config', {}))
            vdi = self.xapi.add('VDI', uuid=vdi_uuid, SR=self.sr, sm_config=config,
                                virtual_size=vdi_fields.get('virtual_size', str(256 * BLOCK_BYTES)))
            if number == 0:
                disk = self.xapi.add('VBD', type='Disk', userdevice=device, empty=False, VDI=vdi)
        cd = self.xapi.add('VBD', type='CD', userdevice='3', empty=True, VDI=NULL)
        self.template = self.xapi.add('VM', VBDs=[cd, disk])

    def path(self, number):
        return os.path.join(self.sr_path, self.uuids[number] + '.vhd')

    def write_chain(self, pieces):
        parent, name = None, u''
        self.footers = [None] * len(self.uuids)
        for number in reversed(range(len(self.uuids))):
            data = random_blocks(pieces if number else 1)
            parent = write_vhd(self.path(number), data, parent, name, hidden=number > 0)
            self.footers[number] = parent
            name = u'%s.vhd' % self.uuids[number]

    def params(self, **changes):
        if self.secret not in self.xapi.records:  # an earlier attempt took it
            self.secret = self.xapi.add('secret', value=TOKEN)
        params = {'jobId': self.job, 'imageId': self.job, 'templateRef': self.template, 'glanceUrl': self.glance.url,
                  'tokenSecret': self.xapi.records[self.secret][1]['uuid']}
        params.update(changes)
        return params

    def start(self, function, params, **options):
        process = PluginProcess(self.root, function, params, **options)
        self.processes.append(process)
        return process

    def call(self, function, params, **options):
        return self.start(function, params, **options).result()

    def put(self, **changes):
        return self.call('put_vdis', self.params(**changes))

    def status(self):
        return self.call('status', {'jobId': self.job})

    def fails(self, code, retryable, run, *args, **kwargs):
        with self.assertRaises(PluginFailure) as caught:
            run(*args, **kwargs)
        self.assertEqual((caught.exception.code, caught.exception.retryable), (code, retryable), caught.exception)
        return caught.exception

    def put_fails(self, code, retryable, **changes):
        """put_vdis fails with this code, leaves the same for `status`, and nothing else behind."""
        error = self.fails(code, retryable, self.put, **changes)
        self.assertEqual(error.job, self.job)
        with io.open(os.path.join(self.root, 'var/run/xensnap', self.job + '.json'), encoding='ascii') as handle:
            state = json.loads(handle.read())
        self.assertEqual((state['state'], state['error']['code'], state['error']['retryable']),
                         ('failed', code, retryable))
        self.assert_nothing_left()
        return error

    def assert_nothing_left(self):
        self.assertEqual(sorted(os.listdir(self.sr_path)), sorted(self.expected_files()))
        self.assertEqual(self.xapi.sessions, set())
        self.assertEqual([record for kind, record in self.xapi.records.values() if kind == 'task'], [])
        self.assertFalse(self.glance.terminated and self.glance.image['status'] not in ('active', 'queued'))

    def expected_files(self):
        return [uuid_ + '.vhd' for uuid_ in self.uuids]

    def assert_not_uploaded(self):
        self.assertTrue(self.glance.lost.wait(10))
        self.assertFalse(self.glance.terminated)
        self.assertEqual(self.glance.image['status'], 'queued')


class CertificateTest(PluginTest):
    """With `certificate` and `key`, files for localhost, `pem` and `fingerprint`."""

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
