import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import {
  closeLock,
  isClosedInDatabase,
  type LockingJob,
  mayLoseLiveKey,
  noteOpening,
  openLock,
} from '../../../functions/pool/lock.ts';
import type { PowerState } from '../../../local/pool/classes/vm.ts';
import type { Ref } from '../../../xapi/types.ts';
import { poolSession } from './pool-session.ts';

const LOCK = 'vm-data/allowvssprovider';
const INSTALLATION = 'ours';
const now = new Date('2026-01-01T00:00:00Z');

/** A pool whose only VM has that value of the key; what closes it for jobs, and what is there then. */
async function vmWith(key: string | null) {
  const { pool, xapi } = await poolSession();
  const [vm] = pool.vms();
  if (!vm) throw new Error('there is no VM');
  const ref = vm.ref as Ref<'VM'>;
  const data = { 'vm-data/other': 'x', ...(key !== null && { [LOCK]: key }) };
  await xapi.call('VM.set_xenstore_data', ref, data);
  const close = async (jobs: readonly LockingJob[], relock: 'lock' | 'restore', liveKey?: string | null) => {
    const record = await xapi.call('VM.get_record', ref);
    return closeLock(xapi, { ref, record }, jobs, {
      config: { relock, installation: INSTALLATION },
      now,
      liveKey,
    });
  };
  return { pool, xapi, vm, ref, close };
}

it.each<
  [
    string,
    'lock' | 'restore',
    string | null,
    string | null | undefined,
    string | null | undefined,
    string | null,
  ]
>([
  ['locks a VM that was open', 'lock', null, null, null, 'false'],
  ['locks a VM that allowed snapshots by name', 'lock', null, 'true', 'true', 'false'],
  ['puts back what the job’s record says', 'restore', null, 'true', undefined, 'true'],
  ['leaves a VM open that was, by the record', 'restore', null, null, 'false', null],
  [
    'puts back what the job noted on the VM, where it has no record',
    'restore',
    null,
    undefined,
    'false',
    'false',
  ],
  ['leaves a VM open that was, by the note', 'restore', null, undefined, null, null],
  ['leaves an open VM as it is where nobody knows', 'restore', null, undefined, undefined, null],
  ['leaves a locked VM as it is where nobody knows', 'restore', 'false', undefined, undefined, 'false'],
  ['leaves a key that was put there since', 'restore', 'false', null, null, 'false'],
])('%s, under "%s"', async (_, relock, key, onRecord, noted, expected) => {
  const { xapi, vm, ref, close } = await vmWith(key);
  const job = { id: randomUUID(), ...(onRecord !== undefined && { lockBefore: onRecord }) };
  if (noted !== undefined)
    await noteOpening(xapi, ref, { jobId: job.id, installation: INSTALLATION, before: noted, now });
  // Another job's note says nothing of this one.
  await noteOpening(xapi, ref, { jobId: randomUUID(), installation: INSTALLATION, before: 'another', now });
  expect(await close([job], relock)).toBe('closed');
  const data = { 'vm-data/other': 'x', ...(expected !== null && { [LOCK]: expected }) };
  expect(vm.liveXenstore()).toEqual(data);
  expect(vm.record().xenstore_data).toEqual(data);
  const record = await xapi.call('VM.get_record', ref);
  expect(isClosedInDatabase(record, [job], { relock })).toBe(true);
});

it.each<[PowerState, PowerState[], boolean, string]>([
  ['Running', ['Running'], true, 'closed'],
  ['Running', ['Paused'], true, 'paused'],
  ['Running', ['Halted'], true, 'closed'],
  ['Halted', ['Halted'], true, 'closed'],
  ['Halted', ['Running', 'Paused'], true, 'paused'],
  ['Suspended', ['Running', 'Paused'], true, 'paused'],
  ['Paused', ['Paused'], false, 'closed'],
  ['Paused', ['Running'], false, 'closed'],
])(
  'closes a VM that is opened %s and then %j only where its guest is locked too',
  async (at, then, lost, expected) => {
    const { xapi, vm, ref, close } = await vmWith('false');
    vm.setPowerState(at);
    const loses = mayLoseLiveKey(await xapi.call('VM.get_record', ref));
    expect(loses).toBe(lost);
    await openLock(xapi, ref);
    expect(vm.record().xenstore_data).toEqual({ 'vm-data/other': 'x' });
    for (const state of then) vm.setPowerState(state);
    const job = { id: randomUUID(), lockBefore: 'false' };
    expect(await close([job], 'lock', loses ? undefined : job.lockBefore)).toBe(expected);
    expect(vm.liveXenstore()?.[LOCK]).toBe(expected === 'paused' || !vm.liveXenstore() ? undefined : 'false');
    vm.setPowerState('Running');
    expect(await close([job], 'lock')).toBe('closed');
    expect(vm.liveXenstore()?.[LOCK]).toBe('false');
  },
);
