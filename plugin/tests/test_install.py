import fcntl
import io
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import uuid

from support import PLUGIN, write_vhd

INSTALL = os.path.join(os.path.dirname(PLUGIN), 'install.sh')

# Executes the command where a real one would, in the folder of that name, with the programs of that host alone.
SSH = '''#!/bin/bash
printf '%s\\n' "${@:1:$#-1}" >>"$HOSTS/ssh.log"
target=${*: -2:1}; host=${target#*@}
if [ ! -d "$HOSTS/$host" ]; then echo "ssh: Could not resolve hostname $host" >&2; exit 255; fi
XENSNAP_DOM0_ROOT="$HOSTS/$host" PATH="$HOSTS/$host/bin" /bin/bash -c "${*: -1}"
'''

# xapi: executes the plugin as it does, and prints what the response holds.
XE = '''#!/bin/bash
printf '%s ' "$@" >>"$XENSNAP_DOM0_ROOT/xe.log"
call='<methodCall><methodName>version</methodName><params><param><value>s</value></param><param><value><struct/></value></param></params></methodCall>'
"$XENSNAP_DOM0_ROOT/etc/xapi.d/plugins/glance" "$call" | sed 's/.*<name>Value<.name><value><string>//; s/<.*//; s/&quot;/"/g'
'''

NOVAS = '#!/usr/bin/python\n# Nova\n'


def write(path, text, mode=0o755):
    with io.open(path, 'w') as out:
        out.write(u'%s' % text)
    os.chmod(path, mode)


def read(path):
    with io.open(path) as handle:
        return handle.read()


class InstallTest(unittest.TestCase):
    def setUp(self):
        self.hosts = tempfile.mkdtemp(prefix='xensnap-install-')
        self.addCleanup(shutil.rmtree, self.hosts, True)
        self.bin = os.path.join(self.hosts, 'bin')
        os.mkdir(self.bin)
        write(os.path.join(self.bin, 'ssh'), SSH)
        self.a_host('xen1')

    def a_host(self, name, python='python3'):
        """A control domain whose only Python is the one that runs this test, under that name."""
        root = os.path.join(self.hosts, name)
        for folder in ('bin', 'etc/xapi.d/plugins', 'var/run/sr-mount/sr'):
            os.makedirs(os.path.join(root, folder))
        for tool in ('sh', 'bash', 'grep', 'sed', 'mktemp', 'chmod', 'cp', 'mv', 'rm', 'cmp', 'tail', 'cat', 'flock', 'ls'):
            found = next(path for path in ('/bin/' + tool, '/usr/bin/' + tool) if os.path.exists(path))
            os.symlink(found, os.path.join(root, 'bin', tool))
        if python:
            write(os.path.join(root, 'bin', python), '#!/bin/sh\nexec %s "$@"\n' % sys.executable)
        write(os.path.join(root, 'bin/xe'), XE)
        write(os.path.join(root, 'etc/xensource-inventory'), "A='b'\nINSTALLATION_UUID='%s'\n" % uuid.uuid4(), 0o644)
        return root

    def root(self, host='xen1'):
        return os.path.join(self.hosts, host)

    def installed(self, host='xen1'):
        return os.path.join(self.root(host), 'etc/xapi.d/plugins/glance')

    def run_it(self, *arguments):
        """(status, standard output, standard error)"""
        env = dict(os.environ, HOSTS=self.hosts, PATH='%s:%s' % (self.bin, os.environ['PATH']))
        process = subprocess.Popen(('bash', INSTALL) + arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate()
        return process.returncode, out.decode('utf-8'), err.decode('utf-8')

    def succeeds(self, *arguments):
        status, out, err = self.run_it(*arguments)
        self.assertEqual((status, err), (0, ''))
        return out

    def fails(self, words, *arguments):
        status, out, err = self.run_it(*arguments)
        self.assertEqual(status, 1, out)
        self.assertIn(words, err)
        return out

    def assert_only_the_plugin(self, host='xen1', names=('glance',)):
        self.assertEqual(os.listdir(os.path.dirname(self.installed(host))), list(names))

    def test_installs_on_every_host_with_its_interpreter_and_proves_it(self):
        self.a_host('xen2', 'python2.7' if sys.version_info[0] == 2 else 'python')
        out = self.succeeds('xen1', 'admin@xen2')
        self.assertEqual(out.count('answers'), 2)
        for host in ('xen1', 'xen2'):
            lines = read(self.installed(host)).split('\n', 1)
            self.assertTrue(lines[0].startswith('#!%s/bin/python' % self.root(host)), lines[0])
            self.assertEqual(lines[1], read(PLUGIN).split('\n', 1)[1])
            self.assertEqual(os.stat(self.installed(host)).st_mode & 0o777, 0o755)
            self.assert_only_the_plugin(host)
        host_uuid = read(os.path.join(self.root(), 'etc/xensource-inventory')).split("'")[3]
        self.assertEqual(read(os.path.join(self.root(), 'xe.log')).split(),
                         ['host-call-plugin', 'host-uuid=' + host_uuid, 'plugin=glance', 'fn=version'])
        self.assertEqual([line for line in read(os.path.join(self.hosts, 'ssh.log')).split('\n') if '@' in line],
                         ['root@xen1', 'admin@xen2'])

    def test_passes_on_how_to_log_in(self):
        self.succeeds('--user', 'op', '--port', '2222', '--identity', '/key', '--ssh-option', 'ProxyJump=j', 'xen1')
        said = read(os.path.join(self.hosts, 'ssh.log')).split('\n')
        for words in (['-p', '2222'], ['-i', '/key'], ['-o', 'ProxyJump=j'], ['op@xen1']):
            at = said.index(words[0]) if words[0] != '-o' else said.index(words[1]) - 1
            self.assertEqual(said[at:at + len(words)], words)

    def test_may_be_run_again_and_over_an_older_one(self):
        self.succeeds('xen1')
        self.assertIn('was there already', self.succeeds('xen1'))
        write(self.installed(), read(PLUGIN).replace("VERSION = '", "VERSION = '0."))
        self.assertIn('installed', self.succeeds('xen1'))
        os.chmod(self.installed(), 0o644)
        self.succeeds('xen1')
        self.assertEqual(os.stat(self.installed()).st_mode & 0o777, 0o755)
        self.assert_only_the_plugin()

    def test_refuses_to_overwrite_another_plugin_unless_told(self):
        write(self.installed(), NOVAS)
        self.fails("xen1: %s is not xensnap's" % self.installed(), 'xen1')
        self.assertEqual(read(self.installed()), NOVAS)
        self.fails("is not xensnap's, and stays", '--uninstall', 'xen1')
        self.assertEqual(read(self.installed()), NOVAS)
        self.succeeds('--replace', 'xen1')
        self.assertIn('xensnap', read(self.installed()))
        self.assert_only_the_plugin()

    def test_takes_away_what_does_not_answer_and_puts_back_what_was_there(self):
        write(os.path.join(self.root(), 'bin/xe'), '#!/bin/sh\necho Connection refused >&2\nexit 1\n')
        self.fails('xen1: the plugin did not answer and was taken away again; xe said: Connection refused', 'xen1')
        self.assert_only_the_plugin(names=())
        write(self.installed(), NOVAS)
        self.fails('did not answer', '--replace', 'xen1')
        self.assertEqual(read(self.installed()), NOVAS)
        self.assert_only_the_plugin()

    def test_goes_on_with_the_other_hosts_after_a_failure(self):
        self.a_host('xen3', python=None)
        os.mkdir(os.path.join(self.hosts, 'printer'))
        os.symlink('/bin/sh', os.path.join(self.hosts, 'printer/sh'))
        os.mkdir(os.path.join(self.hosts, 'printer/bin'))
        os.symlink('/bin/sh', os.path.join(self.hosts, 'printer/bin/sh'))
        status, out, err = self.run_it('nowhere', 'xen3', 'printer', 'xen1')
        self.assertEqual(status, 1)
        self.assertIn('xen1: glance', out)
        lines = err.strip().split('\n')
        self.assertEqual(lines[0], 'nowhere: ssh could not log in as root@nowhere: ssh: Could not resolve hostname nowhere')
        self.assertEqual(lines[1], 'xen3: there is no Python 2.7, nor 3.6 or later')
        self.assertIn('printer: %s/etc/xapi.d/plugins is missing' % self.root('printer'), lines[2])

    def test_a_host_without_a_uuid(self):
        write(os.path.join(self.root(), 'etc/xensource-inventory'), "A='b'\n", 0o644)
        self.fails('has no INSTALLATION_UUID', 'xen1')

    def test_uninstalls_the_plugin_and_tells_what_the_first_version_left_in_srs(self):
        self.succeeds('xen1')
        host_uuid = read(os.path.join(self.root(), 'etc/xensource-inventory')).split("'")[3]
        sr, state = os.path.join(self.root(), 'var/run/sr-mount/sr'), os.path.join(self.root(), 'var/run/xensnap')
        own, others = ['xensnap-staging-%s-%s' % (owner, uuid.uuid4()) for owner in (host_uuid, uuid.uuid4())]
        write_vhd(os.path.join(sr, 'disk.vhd'), {})
        for name in (own, others):
            os.mkdir(os.path.join(sr, name))
            os.link(os.path.join(sr, 'disk.vhd'), os.path.join(sr, name, '0.vhd'))
        os.mkdir(state)
        write(os.path.join(state, 'job.lock'), '', 0o600)
        removed, left = self.succeeds('--uninstall', 'xen1').splitlines()
        self.assertEqual(removed, 'xen1: glance removed')
        self.assertIn(os.path.join(sr, own), left)
        self.assert_only_the_plugin(names=())
        self.assertFalse(os.path.exists(state))
        self.assertEqual(sorted(os.listdir(sr)), sorted(['disk.vhd', own, others]))
        self.assertEqual(os.listdir(os.path.join(sr, own)), ['0.vhd'])
        os.unlink(os.path.join(sr, own, '0.vhd'))
        os.rmdir(os.path.join(sr, own))
        self.assertEqual(self.succeeds('--uninstall', 'xen1'), 'xen1: no plugin was there\n')

    def test_does_not_uninstall_while_an_upload_runs(self):
        self.succeeds('xen1')
        state = os.path.join(self.root(), 'var/run/xensnap')
        os.mkdir(state)
        with io.open(os.path.join(state, 'job.lock'), 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.fails('an upload is running', '--uninstall', 'xen1')
        self.assert_only_the_plugin()
        self.succeeds('--uninstall', 'xen1')

    def test_wrong_use(self):
        for arguments in ((), ('--force', 'xen1'), ('--user',), ('--', '-oProxyCommand=x'), ('',)):
            status, out, err = self.run_it(*arguments)
            self.assertEqual((status, out), (2, ''))
            self.assertIn('--help', err)
        self.assertTrue(self.succeeds('--help').startswith('Usage: plugin/install.sh'))
        self.assertFalse(os.path.exists(os.path.join(self.hosts, 'ssh.log')))


if __name__ == '__main__':
    unittest.main()
