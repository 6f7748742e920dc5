import { expect, it } from 'vitest';
import { inspectVm } from '../../../functions/pool/inspect.ts';
import type { Session } from '../../../xapi/session.ts';
import type { Ref } from '../../../xapi/types.ts';

const GIB = 2 ** 30;

interface Disk {
  readonly type?: string;
  readonly gib?: number;
  readonly smConfig?: Record<string, string>;
  readonly allowed?: string[];
  readonly current?: Record<string, string>;
}

/** A session to a pool with one VM, whose root disk is that. */
function sessionTo({ type = 'ext', gib = 8, smConfig = {}, allowed = ['vdi_snapshot'], current = {} }: Disk) {
  const answers: Record<string, unknown> = {
    'VM.get_record': { name_label: 'web-1', power_state: 'Running' },
    'VBD.get_all_records_where': { 'OpaqueRef:vbd': { type: 'Disk', userdevice: '0', VDI: 'OpaqueRef:vdi' } },
    'VDI.get_record': { SR: 'OpaqueRef:sr', virtual_size: String(gib * GIB), sm_config: smConfig },
    'SR.get_record': {
      name_label: 'storage',
      type,
      allowed_operations: allowed,
      current_operations: current,
    },
  };
  return { call: async (method: string) => answers[method] } as unknown as Session;
}

const inspect = (disk: Disk, request: object = {}) =>
  inspectVm(sessionTo(disk), 'OpaqueRef:vm' as Ref<'VM'>, { quiesce: 'never', ...request });

it.each<[string, Disk, object, boolean]>([
  ['a VHD on ext', {}, {}, true],
  ['a VHD on nfs', { type: 'nfs' }, {}, true],
  ['a VHD on smb', { type: 'smb' }, {}, false],
  ['a VHD on largeblock', { type: 'largeblock' }, {}, true],
  ['a VHD that is told to be one', { smConfig: { 'image-format': 'vhd' } }, {}, true],
  ['a VHD on ext for a raw image', {}, { format: 'raw' }, false],
  ['a VHD on ext for a flattened image', {}, { flatten: true }, false],
  ['a QCOW2 disk on ext', { smConfig: { 'image-format': 'qcow2' } }, {}, false],
  ['a disk on lvm', { type: 'lvm' }, {}, false],
  ['a disk on lvmoiscsi', { type: 'lvmoiscsi' }, {}, false],
  ['a disk on an SR of a type that nobody has heard of', { type: 'zfs-ng' }, {}, false],
])('knows of %s whether its chain of files is read', async (_, disk, request, readsChain) => {
  expect(await inspect(disk, request)).toMatchObject({ readsChain });
});

it.each<[string, Disk, object, string, RegExp]>([
  ['an SR without snapshots', { type: 'rawhba', allowed: ['scan'] }, {}, 'StorageUnsupported', /rawhba/],
  ['a raw disk', { smConfig: { type: 'raw' } }, {}, 'DiskFormatUnsupported', /raw image/],
  ['a raw file', { smConfig: { vdi_type: 'aio' } }, { format: 'raw' }, 'DiskFormatUnsupported', /raw image/],
  ['a disk beyond maxSizeGib', { gib: 9 }, { maxSizeGib: 8.5 }, 'DiskTooLarge', /9\.0 GiB.*8\.5 GiB/],
  ['a disk too large for a VHD', { gib: 2041 }, {}, 'DiskTooLarge', /2040 GiB of a VHD.*"raw"/],
])('refuses %s', async (_, disk, request, name, message) => {
  await expect(inspect(disk, request)).rejects.toMatchObject({
    name,
    message: expect.stringMatching(message),
  });
});

it('takes a raw image of a disk that is too large for a VHD', async () => {
  expect(await inspect({ gib: 2041 }, { format: 'raw' })).toMatchObject({ virtualBytes: 2041 * GIB });
});

it('asks no SR for what it cannot do just now', async () => {
  const busy: Disk = { allowed: ['scan'], current: { 'OpaqueRef:task': 'vdi_destroy' } };
  await expect(inspect(busy)).resolves.toMatchObject({ readsChain: true });
});
