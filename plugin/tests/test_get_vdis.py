"""What `get_vdis` writes, for images of every layout."""
import hashlib
import os
import unittest
import uuid

from images import disk_of, fixed_vhd, gzipped, real_tar, some_layers, tar_of, vhds_of
from restore_world import INSTALLATION, RestoreTest
from support import TOKEN


class GetVdisTest(RestoreTest):
    def test_writes_a_chain_and_tells_what_it_was(self):
        layers = some_layers(1, 3)
        self.has(layers)
        result = self.get()
        self.assert_disk(disk_of(layers))
        data = self.glance.stored
        self.assertEqual(result['sha512'], hashlib.sha512(data).hexdigest())
        self.assertEqual((result['bytesRead'], result['virtualBytes'], result['jobId']), (len(data), 16 << 20, self.job))
        self.assertEqual([(one['name'], one['uuid'], one['bytes']) for one in result['layers']],
                         [('%d.vhd' % number, str(layer.uuid), len(vhd))
                          for number, (layer, vhd) in enumerate(zip(layers, vhds_of(layers)))])
        self.assertEqual((result['vmConfig'], result['warnings']), (None, []))
        self.assertEqual(len([one for one in self.glance.requests if one[1].endswith('/file')]), 1)
        self.assert_disk_free()

    def test_many_chains(self):
        for seed in range(2, 8):
            layers = some_layers(seed, 1 + seed % 5)
            self.has(layers, members=1 + seed % 3)
            self.fill_disk(b'\0')
            self.job = str(uuid.uuid4())
            self.get()
            self.assert_disk(disk_of(layers))

    def test_plugs_a_vbd_of_its_own_with_the_jobs_tag_and_takes_it_away(self):
        self.has(some_layers(1, 1))
        seen = []
        run = self.xapi.run

        def watched(method, args):
            if method == 'VBD.create':
                seen.append(args[1])
            return run(method, args)
        self.xapi.run = watched
        self.get()
        vbd, = seen
        self.assertEqual((vbd['VM'], self.xapi.records[vbd['VDI']][1]['uuid']), (self.control, self.vdi))
        self.assertEqual([vbd[name] for name in ('userdevice', 'mode', 'type', 'bootable', 'unpluggable', 'empty')],
                         ['autodetect', 'RW', 'Disk', False, True, False])
        self.assertEqual(vbd['other_config'], {'xensnap:' + self.job: INSTALLATION})
        order = [call for call in self.xapi.calls if call in ('VBD.create', 'VBD.plug', 'VBD.unplug', 'VBD.destroy')]
        self.assertEqual(order, ['VBD.create', 'VBD.plug', 'VBD.unplug', 'VBD.destroy'])

    def test_knows_its_control_domain_by_the_inventory(self):
        with open(os.path.join(self.root, 'etc/xensource-inventory'), 'a') as out:
            out.write("CONTROL_DOMAIN_UUID='%s'\n" % self.xapi.records[self.control][1]['uuid'])
        self.has(some_layers(1, 1))
        self.get()
        self.assertNotIn('host.get_control_domain', self.xapi.calls)

    def test_sends_the_token_and_destroys_its_secret(self):
        self.has(some_layers(1, 1))
        self.get()
        self.assertEqual([headers.get('x-auth-token') for _, _, headers in self.glance.requests], [TOKEN] * 2)
        self.assertNotIn(self.secret, self.xapi.records)

    def test_zeros_are_not_written_where_the_disk_reads_as_zeros(self):
        layers = some_layers(5, 3)
        self.has(layers)
        thin = self.get()['bytesWritten']
        self.assert_disk(disk_of(layers))
        self.fill_disk(b'\xaa')
        self.job = str(uuid.uuid4())
        thick = self.get(readsAsZeros=False)['bytesWritten']
        self.assert_disk(disk_of(layers))
        self.assertEqual(thick, self.disk_bytes)
        self.assertLess(thin, thick)
        self.assertLess(os.stat(self.device).st_size, self.disk_bytes + 1)

    def test_the_rest_of_a_larger_disk_is_zeroed_too(self):
        self.disk_bytes += 3 << 20
        for kind in ('vhd', 'raw'):
            self.fill_disk(b'\xaa')
            self.job = str(uuid.uuid4())
            layers = some_layers(6, 2)
            if kind == 'vhd':
                self.has(layers)
            else:
                self.glance.store(disk_of(layers))
            self.get(readsAsZeros=False, format=kind)
            self.assert_disk(disk_of(layers))

    def test_a_raw_image(self):
        disk = disk_of(some_layers(9, 2))[:-512 * 3]
        self.glance.store(disk)
        result = self.get(format='raw')
        self.assert_disk(disk)
        self.assertEqual((result['layers'], result['virtualBytes']), ([], len(disk)))

    def test_what_the_image_says_of_its_vm_is_given_back_as_it_is(self):
        text = u'{"name": "w\xe9b", "nvram": "%s"}' % ('x' * 112000)
        layers = some_layers(3, 2)
        files = [('vm.json', text.encode('utf-8'))] + [('%d.vhd' % n, vhd) for n, vhd in enumerate(vhds_of(layers))]
        self.glance.store(gzipped(tar_of(files)))
        self.assertEqual(self.get()['vmConfig'], text)
        self.assert_disk(disk_of(layers))
        for bad in (b'\xff\xfe', b'x' * ((112 << 10) + 1)):
            self.job = str(uuid.uuid4())
            self.glance.store(gzipped(tar_of([('vm.json', bad)] + files[1:])))
            result = self.get()
            self.assertEqual(result['vmConfig'], None)
            self.assertIn('vm.json', result['warnings'][0])

    def test_layouts_of_nova_by_the_real_tar(self):
        layers = some_layers(4, 3)
        vhds = vhds_of(layers)
        numbered = [('%d.vhd' % number, vhd) for number, vhd in enumerate(vhds)]
        old = list(zip(('snap.vhd', 'image.vhd', 'base.vhd'), vhds))
        flat = [('%s.vhd' % uuid.uuid4(), vhds_of(layers[2:])[0])]
        for files, expected, options in (
                (numbered, layers, ()), (numbered, layers, ('--format=pax', '--owner=4711:4711', '--mode=000', '.')),
                (numbered, layers, ('--format=v7', '--mtime=@0') + tuple(name for name, _ in numbered)),
                (numbered, layers, ('--format=ustar',) + tuple(name for name, _ in reversed(numbered))),
                (old, layers, ()), (old[1:], layers[1:], ()), (old[2:], layers[2:], ()), (flat, layers[2:], ()),
                (numbered + [('swap.vhd', b'x' * 5000)], layers, ()), (numbered[2:], layers[2:], ())):
            self.fill_disk(b'\0')
            self.job = str(uuid.uuid4())
            self.glance.store(gzipped(real_tar(files, *options)))
            self.get()
            self.assert_disk(disk_of(expected))
            self.assert_disk_free()

    def test_a_chain_out_of_order_is_read_again(self):
        layers = some_layers(12, 3)
        named = [('%s.vhd' % layer.uuid, vhd) for layer, vhd in zip(layers, vhds_of(layers))]
        for order, passes in (((0, 1, 2), 1), ((0, 2, 1), 3), ((1, 0, 2), 3), ((2, 1, 0), 4), ((1, 2, 0), 3)):
            self.fill_disk(b'\0')
            self.job, self.glance.requests = str(uuid.uuid4()), []
            self.glance.store(gzipped(tar_of([named[number] for number in order])))
            result = self.get()
            self.assert_disk(disk_of(layers))
            self.assertEqual([one['uuid'] for one in result['layers']], [str(layer.uuid) for layer in layers])
            downloads = len([one for one in self.glance.requests if one[1].endswith('/file')])
            self.assertEqual(downloads, passes, order)
            self.assertEqual(self.state()['bytesTotal'], passes * len(self.glance.stored))

    def test_fixed_vhds_and_a_child_that_grew(self):
        base, leaf = some_layers(13, 1)[0], some_layers(14, 1)[0]
        base.virtual_bytes = (5 << 20) + 512
        data = disk_of([base])[:base.virtual_bytes]
        vhd = leaf.vhd(base)
        self.glance.store(gzipped(tar_of([('0.vhd', vhd), ('1.vhd', fixed_vhd(data, base.uuid))])))
        self.get()
        self.assert_disk(disk_of([leaf, base]))
        self.fill_disk(b'\0')
        self.job = str(uuid.uuid4())
        self.glance.store(gzipped(tar_of([('x.vhd', fixed_vhd(data))])))
        self.assertEqual(self.get()['virtualBytes'], len(data))
        self.assert_disk(data)

    def test_blocks_in_any_order(self):
        layer = some_layers(16, 1)[0]
        order = sorted(layer.blocks, key=lambda number: (number * 7) % 5)
        self.glance.store(gzipped(tar_of([('0.vhd', layer.vhd(order=order))])))
        self.get()
        self.assert_disk(disk_of([layer]))

    def test_answers_a_second_call_after_success_with_the_same_result(self):
        self.has(some_layers(1, 1))
        first = self.get()
        calls = len(self.glance.requests)
        self.assertEqual(self.get(), first)
        self.assertEqual(len(self.glance.requests), calls)

    def test_tells_status_the_result(self):
        self.has(some_layers(1, 2))
        result = self.get()
        state = self.status()
        self.assertEqual((state['state'], state['phase'], state['result'], state['error']),
                         ('succeeded', 'detaching', result, None))
        self.assertEqual((state['bytesRead'], state['bytesTotal']), (len(self.glance.stored),) * 2)
        self.assertEqual(state['bytesWritten'], result['bytesWritten'])
        self.assertFalse(set(state) & set(('vdiUuid', 'rubbish', 'cause')))

    def test_takes_its_time_under_a_limit(self):
        self.has(some_layers(2, 1))
        self.assertGreater(self.get(maxBytesPerSecond=2 << 20)['seconds'], 1.0)
        self.assert_disk_free()

    def test_says_so_where_glance_has_no_sha512(self):
        self.has(some_layers(2, 1))
        self.glance.image.update(os_hash_algo='sha256', os_hash_value='x')
        self.assertIn('sha512', self.get(sha512=None)['warnings'][0])


if __name__ == '__main__':
    unittest.main()
