import io
import os
import threading
import time
import unittest
import uuid

from support import PluginTest, load_plugin


class LeftoversTest(PluginTest):
    """Staging folders of the first version of this plugin: told, never touched."""

    def setUp(self):
        PluginTest.setUp(self)
        self.a_template()
        self.sr_uuid = os.path.basename(self.sr_path)

    def a_folder(self, owner=None):
        name = 'xensnap-staging-%s-%s' % (owner or self.host, uuid.uuid4())
        os.mkdir(os.path.join(self.sr_path, name))
        os.link(self.path(0), os.path.join(self.sr_path, name, '0.vhd'))
        return name

    def leftovers(self):
        return self.call('leftovers', {})

    def test_none(self):
        self.assertEqual(self.leftovers(), {'host': self.host, 'folders': [], 'unanswered': []})

    def test_tells_of_every_folder_in_every_sr_whoever_made_it_and_leaves_it(self):
        names = [(self.sr_uuid, self.a_folder()), (self.sr_uuid, self.a_folder(str(uuid.uuid4())))]
        os.utime(os.path.join(self.sr_path, names[0][1]), (time.time() - 90000,) * 2)
        first = self.sr_path
        self.a_template()
        names.append((os.path.basename(self.sr_path), self.a_folder()))
        told = self.leftovers()
        self.assertEqual(sorted((one['sr'], one['name']) for one in told['folders']), sorted(names))
        self.assertEqual(told['folders'][0]['name'], names[0][1])
        self.assertTrue(90000 <= told['folders'][0]['ageSeconds'] < 93600)
        for sr_uuid, name in names:
            self.assertEqual(os.listdir(os.path.join(os.path.dirname(first), sr_uuid, name)), ['0.vhd'])

    def test_other_names_are_none(self):
        for name in ('xensnap-staging-', 'xensnap-staging-%s' % self.host, 'staging', 'lost+found'):
            os.mkdir(os.path.join(self.sr_path, name))
        self.assertEqual(self.leftovers()['folders'], [])

    def test_a_host_without_file_srs(self):
        os.rename(os.path.join(self.root, 'var/run/sr-mount'), os.path.join(self.root, 'var/run/none'))
        self.assertEqual(self.leftovers()['folders'], [])

    def test_it_only_reads(self):
        self.a_folder()
        state = os.path.join(self.root, 'var/run/xensnap')
        os.makedirs(state)
        old = os.path.join(state, '%s.json' % uuid.uuid4())
        with io.open(old, 'w') as out:
            out.write(u'{}')
        os.utime(old, (1, 1))
        self.leftovers()
        self.assertEqual(os.listdir(state), [os.path.basename(old)])

    def in_this_process(self):
        plugin = load_plugin()
        os.environ['XENSNAP_DOM0_ROOT'] = self.root
        self.addCleanup(os.environ.pop, 'XENSNAP_DOM0_ROOT')
        return plugin

    def test_an_sr_that_does_not_answer_is_named_and_holds_up_nothing(self):
        plugin, dead = self.in_this_process(), threading.Event()
        self.addCleanup(dead.set)
        name, answering = self.a_folder(), self.sr_uuid
        self.a_template()
        dead_uuid = os.path.basename(self.sr_path)
        real = plugin.Leftovers.look_through

        def look_through(one, path, sr_uuid):
            if sr_uuid == dead_uuid:
                dead.wait(30)
            else:
                real(one, path, sr_uuid)
        plugin.Leftovers.look_through = look_through
        plugin.LEFTOVERS_SECONDS = 1
        told = plugin.leftovers({})
        self.assertEqual([(one['sr'], one['name']) for one in told['folders']], [(answering, name)])
        self.assertEqual(told['unanswered'], [dead_uuid])

    def test_the_oldest_of_too_many(self):
        plugin = self.in_this_process()
        plugin.MAX_LEFTOVERS = 3
        names = [self.a_folder() for _ in range(5)]
        for age, name in enumerate(names):
            os.utime(os.path.join(self.sr_path, name), (time.time() - 1000 * age,) * 2)
        self.assertEqual([one['name'] for one in plugin.leftovers({})['folders']], [names[4], names[3], names[2]])

    def test_it_takes_no_parameters(self):
        self.assertIn('not known', self.fails('BAD_PARAMS', False, self.call, 'leftovers', {'jobIds': []}).message)
        self.fails('UNKNOWN_XENAPI_PLUGIN_FUNCTION', None, self.call, 'sweep', {})


if __name__ == '__main__':
    unittest.main()
