import { expect, it } from 'vitest';
import { failureOfDisk } from '../../../functions/pool/failed-disk.ts';
import { XapiError } from '../../../xapi/errors.ts';
import type { Session } from '../../../xapi/session.ts';
import type { Ref } from '../../../xapi/types.ts';

const VM = 'OpaqueRef:vm' as Ref<'VM'>;

/** A pool whose VM has two disks: 0 a VHD on "fast", 1 with that configuration of SM's on "slow". */
function sessionTo(smConfig: object = {}): Session {
  const disk = (device: string) => ({
    type: 'Disk',
    userdevice: device,
    VDI: `OpaqueRef:vdi${device}`,
    mode: 'RW',
  });
  const answers: Record<string, Record<string, object>> = {
    'VBD.get_all_records_where': {
      '': { a: disk('1'), b: disk('0'), c: { type: 'CD', VDI: 'OpaqueRef:NULL' } },
    },
    'VDI.get_record': {
      'OpaqueRef:vdi0': {
        name_label: 'system',
        virtual_size: String(2 ** 30),
        SR: 'OpaqueRef:fast',
        sm_config: {},
      },
      'OpaqueRef:vdi1': {
        name_label: 'data',
        virtual_size: String(2 ** 30),
        SR: 'OpaqueRef:slow',
        sm_config: smConfig,
      },
    },
    'SR.get_record': { 'OpaqueRef:fast': { name_label: 'fast' }, 'OpaqueRef:slow': { name_label: 'slow' } },
  };
  const call = async (method: string, of: string) => answers[method]?.[of] ?? answers[method]?.[''];
  return { call } as unknown as Session;
}

const SYSTEM = '0 ("system", 1.0 GiB on "fast")';
const DATA = '1 ("data", 1.0 GiB on "slow")';

it.each<[string[], object, string, string]>([
  [['SR_OPERATION_NOT_SUPPORTED', 'OpaqueRef:slow'], {}, 'StorageUnsupported', `The disk at ${DATA} can't`],
  [
    ['UNIMPLEMENTED_IN_SM_BACKEND', 'OpaqueRef:slow'],
    { type: 'raw' },
    'DiskFormatUnsupported',
    `The disk at ${DATA} can't`,
  ],
  [
    ['SR_BACKEND_FAILURE_38', '', 'not permitted', ''],
    { type: 'raw' },
    'DiskFormatUnsupported',
    `The disk at ${DATA} can't`,
  ],
  [
    ['SR_BACKEND_FAILURE_44', '', 'no space', ''],
    {},
    'StorageFull',
    `One of the disks ${SYSTEM}, ${DATA} can't`,
  ],
  [['VDI_IN_USE', 'OpaqueRef:vdi0', 'x'], {}, 'SnapshotFailed', `allow it (VDI_IN_USE, x).`],
  [['SR_FULL', 'OpaqueRef:slow'], {}, 'StorageFull', `The disk at ${DATA} can't`],
  [['VDI_IN_USE', 'OpaqueRef:vdi1', 'snapshot'], {}, 'SnapshotFailed', `The disk at ${DATA} can't`],
  [['SR_HAS_NO_PBDS', 'OpaqueRef:slow'], {}, 'SnapshotFailed', `The disk at ${DATA} can't`],
])('tells of %j which disk it is about', async (description, smConfig, name, message) => {
  const error = new XapiError('Async.VM.snapshot', description);
  const told = await failureOfDisk(sessionTo(smConfig), VM, error, '0');
  expect(told).toMatchObject({ name, cause: error });
  expect(told?.message).toContain(message);
  expect(told?.message).toContain(`(${error.code}`);
  expect(told?.message).not.toContain('OpaqueRef');
});

it('offers to detach another disk than the one that is imaged', async () => {
  const error = new XapiError('Async.VM.snapshot', ['SR_OPERATION_NOT_SUPPORTED', 'OpaqueRef:slow']);
  expect((await failureOfDisk(sessionTo(), VM, error, '0'))?.message).toContain('or detach it until');
  expect((await failureOfDisk(sessionTo(), VM, error, '1'))?.message).not.toContain('detach');
});

it.each([
  [['SR_BACKEND_FAILURE_109', '', 'The snapshot chain is too long', '']],
  [['SR_BACKEND_FAILURE_38', '', 'not implemented', '']],
  [['VM_BAD_POWER_STATE', 'OpaqueRef:vm', 'running', 'halted']],
  [['TASK_CANCELLED', 'OpaqueRef:task']],
])('leaves %j to others: it says of no disk that it is the one', async (description) => {
  const error = new XapiError('Async.VM.snapshot', description);
  expect(await failureOfDisk(sessionTo(), VM, error, '0')).toBeUndefined();
});

it('leaves the failure as it is where the pool does not answer', async () => {
  const away = { call: () => Promise.reject(new Error('away')) } as unknown as Session;
  const error = new XapiError('Async.VM.snapshot', ['SR_FULL', 'OpaqueRef:slow']);
  expect(await failureOfDisk(away, VM, error, '0')).toBeUndefined();
});
