import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { Value } from '../../local/pool/database/value.ts';
import type { Fault } from '../../local/pool/faults.ts';
import { logIn } from '../local/pool/client.ts';
import { type Scenario, scenario } from '../support/scenario.ts';

const LOCK = 'vm-data/allowvssprovider';
const ANOTHER = 'OpaqueRef:6c1e8a4e-4bd5-4d3c-9f41-d1b1e6ad3f2f';

/** A job that meets each fault from the moment it enters the state beside it. */
async function jobWithFaults(faults: readonly (readonly [state: string, fault: Fault])[]) {
  let pool: Scenario['pool'] | undefined;
  const waiting = new Set(faults);
  const at = await scenario({
    pool: { vms: 1, diskMib: 2 },
    glance: { token: 'token' },
    service: {
      onState: (_job, entered) => {
        for (const each of waiting)
          if (each[0] === entered && waiting.delete(each)) pool?.faults.add(each[1]);
      },
    },
  });
  ({ pool } = at);
  const [vm] = pool.vms();
  const done = await at.job(await at.request(vm?.uuid ?? ''));
  expect([...waiting]).toEqual([]);
  return { ...at, done, vm };
}

// Of each state one call in a job: what passes is over when the next state begins.
it.each<
  [readonly (readonly [state: string, method: string, params: readonly string[], more?: Partial<Fault>])[]]
>([
  [
    [
      ['UnlockVm', 'VM.get_record', ['host', ANOTHER]],
      ['PollSnapshot', 'task.get_record', ['session', ANOTHER]],
      // The plugin's own call and, since the secret stays then, the service's.
      ['StartUpload', 'secret.destroy', ['session', ANOTHER], { times: 2 }],
      ['DestroySnapshot', 'VM.get_record', ['host', ANOTHER]],
      ['RelockVm', 'VM.get_record', ['host', ANOTHER]],
    ],
  ],
  [
    [
      ['UnlockVm', 'VM.add_to_other_config', ['host', ANOTHER]],
      ['PollSnapshot', 'task.destroy', ['session', ANOTHER]],
      ['DestroySnapshot', 'VDI.get_record', ['VBD', ANOTHER]],
      ['RelockVm', 'VM.set_xenstore_data', ['host', ANOTHER]],
    ],
  ],
  [
    [
      ['UnlockVm', 'VDI.add_to_other_config', ['SR', ANOTHER]],
      ['PollSnapshot', 'VDI.get_uuid', ['SR', ANOTHER]],
      ['DestroySnapshot', 'VDI.destroy', ['VBD', ANOTHER]],
      ['RelockVm', 'VM.get_other_config', ['host', ANOTHER]],
    ],
  ],
  [
    [
      ['UnlockVm', 'VM.set_xenstore_data', ['host', ANOTHER]],
      ['PollSnapshot', 'VDI.remove_from_other_config', ['SR', ANOTHER]],
      ['DestroySnapshot', 'VM.destroy', ['VBD', ANOTHER]],
      ['RelockVm', 'VM.remove_from_other_config', ['host', ANOTHER]],
    ],
  ],
  [[['PollSnapshot', 'VM.remove_from_other_config', ['host', ANOTHER]]]],
])('takes an answer that a handle is invalid for no proof that anything is gone: %j', async (answers) => {
  const { done, vm, pool } = await jobWithFaults(
    answers.map(([state, method, params, more]) => [
      state,
      { ...{ method, code: 'HANDLE_INVALID', params, times: 1 }, ...more },
    ]),
  );
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(done.warnings ?? []).toEqual([]);
  const struck = pool.calls
    .filter(({ error }) => error?.startsWith('HANDLE_INVALID'))
    .map((call) => call.method);
  expect(struck).toEqual(expect.arrayContaining(answers.map(([, method]) => method)));
  expect(vm?.liveXenstore()?.[LOCK]).toBe('false');
});

it('goes on where a task’s record or a tag cannot be removed, and removes it later', async () => {
  const { done, pool } = await jobWithFaults(
    ['task.destroy', 'VM.remove_from_other_config', 'VDI.remove_from_other_config'].map((method) => [
      'PollSnapshot',
      { method, code: 'INTERNAL_ERROR', times: 1 },
    ]),
  );
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(pool.calls.filter(({ error }) => error?.startsWith('INTERNAL_ERROR'))).toHaveLength(3);
});

it('removes the record of the snapshot’s task where the job fails before the snapshot is on record', async () => {
  const { done } = await jobWithFaults([
    ['PollSnapshot', { method: 'VDI.get_uuid', code: 'RBAC_PERMISSION_DENIED', times: 1 }],
  ]);
  expect(done).toMatchObject({ status: 'failed' });
});

it('pays for a disk only once it is not found by its UUID any more', async () => {
  // Three times the pool says so, and the disk is there.
  const { done, pool } = await jobWithFaults([
    [
      'DestroySnapshot',
      { method: 'VDI.destroy', code: 'HANDLE_INVALID', params: ['VDI', ANOTHER], times: 5 },
    ],
  ]);
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(pool.calls.filter(({ method }) => method === 'VDI.destroy').length).toBeGreaterThan(5);
});

it('destroys the disks on record where somebody else has destroyed the template', async () => {
  let destroy: (() => Promise<unknown>) | undefined;
  const { pool, request, job } = await scenario({
    pool: { vms: 1, diskMib: 2 },
    service: {
      aroundStep: async (step, _job, run) => {
        if (step === 'DestroySnapshot') await destroy?.();
        return run();
      },
    },
  });
  const [vm] = pool.vms();
  destroy = async () => {
    const snapshot = (await pool.inventory()).vms.find(({ isSnapshot }) => isSnapshot);
    if (!snapshot) return;
    const admin = await logIn(pool.url, pool.username, pool.password);
    await admin.call('VM.destroy', await admin.call('VM.get_by_uuid', snapshot.uuid));
    await admin.call('session.logout');
  };
  expect(await job(await request(vm?.uuid ?? ''))).toMatchObject({ status: 'succeeded' });
});

/** A pool's database in which a VM and its snapshots have other references, as after `xe-restore-metadata`. */
function withOtherRefs(database: ReturnType<Scenario['pool']['backUpDatabase']>, vm: string) {
  const others = new Map<string, string>();
  for (const [ref, row] of database.get('VM') ?? [])
    if (ref === vm || row.snapshot_of === vm) others.set(ref, `OpaqueRef:${randomUUID()}`);
  const renamed = (value: Value): Value =>
    typeof value === 'string'
      ? (others.get(value) ?? value)
      : Array.isArray(value)
        ? (value.map((each) => others.get(String(each)) ?? each) as Value)
        : value;
  const tables = [...database].map(([className, rows]) => {
    const changed = [...rows].map(([ref, row]) => {
      const fields = Object.entries(row).map(([field, value]) => [field, renamed(value)] as const);
      return [others.get(ref) ?? ref, Object.fromEntries(fields)] as const;
    });
    return [className, new Map(changed)] as const;
  });
  return new Map(tables);
}

it.each(['PollUpload', 'DestroySnapshot'])(
  'finds its snapshot, and destroys it, in a pool whose references are others since %s',
  async (step) => {
    let restore: (() => Promise<void>) | undefined;
    const at = await scenario({
      pool: { vms: 1, diskMib: 2 },
      // The simulated pool knows a guest by its VM's reference, and so not any more.
      leaves: [
        expect.stringMatching(/^pool: locks: more: [^;]*"live":null,"database":"false"[^;]*; gone: [^;]*$/),
      ],
      service: {
        aroundStep: async (name, _job, run) => {
          if (name === step) await restore?.();
          return run();
        },
      },
    });
    const [vm] = at.pool.vms();
    restore = async () => {
      restore = undefined;
      const database = withOtherRefs(at.pool.backUpDatabase(), vm?.ref ?? '');
      await at.pool.failOver(at.pool.hosts[0]?.uuid ?? '', { oldMaster: 'member', database });
    };
    await at.job(await at.request(vm?.uuid ?? ''));
    const { vms, vdis } = await at.pool.inventory();
    expect([vms.filter(({ isSnapshot }) => isSnapshot), vdis]).toEqual([[], [expect.anything()]]);
    expect((await at.service.janitor()).findings).toEqual([]);
  },
);
