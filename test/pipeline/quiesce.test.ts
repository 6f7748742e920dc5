import { expect, it } from 'vitest';
import type { CallLogEntry } from '../../local/pool/state.ts';
import { type Scenario, scenario } from '../support/scenario.ts';

const LOCK = 'vm-data/allowvssprovider';
const WRITES = /^(Async\.)?(VM|VDI|SR|secret)\.(set_|add_to_|remove_from_|snapshot|destroy|create)/;

/** Unlocking, snapshotting and locking, in the words of the call log. */
function story(calls: readonly CallLogEntry[]): string[] {
  return calls.flatMap(({ method, args }) => {
    if (method === 'VM.set_xenstore_data') {
      const value = args.find((arg) => typeof arg === 'object') as Record<string, string>;
      return [value[LOCK] === undefined ? 'unlock' : `lock ${value[LOCK]}`];
    }
    return method.startsWith('Async.VM.snapshot') ? [method] : [];
  });
}

/** Nothing was written, neither in the pool nor in Glance nor in the table. */
async function expectUntouched({ pool, glance, ask, leftBehind }: Scenario) {
  // The question whether the release knows the call is asked of no VM.
  const asked = pool.calls.filter(({ error }) => error === undefined).map(({ method }) => method);
  expect(asked.filter((method) => WRITES.test(method))).toEqual([]);
  expect(glance.images()).toEqual([]);
  expect((await ask('GET', '/snapshots')).body.snapshots).toEqual([]);
  expect(await leftBehind()).toEqual([]);
}

it('unlocks the VM, takes a quiesced snapshot and locks the VM again, in this order', async () => {
  const { pool, glance, request, job } = await scenario({
    pool: { quiesce: true, vms: 1, diskMib: 2 },
  });
  const [vm] = pool.vms();
  const done = await job(await request(vm?.uuid ?? '', { quiesce: 'require' }));
  expect(story(pool.calls)).toEqual(['unlock', 'Async.VM.snapshot_with_quiesce', 'lock false']);
  expect(vm?.liveXenstore()?.[LOCK]).toBe('false');
  expect(vm?.record().xenstore_data).toEqual({ [LOCK]: 'false' });
  expect(done).toMatchObject({ status: 'succeeded', consistency: 'quiesced' });
  expect(done.warnings ?? []).toEqual([]);
  expect(glance.images()).toMatchObject([{ properties: { xensnap_consistency: 'quiesced' } }]);
});

it('finds the quiesced snapshot, and the task that made it, where the reply to the call was lost', async () => {
  const { pool, request, job } = await scenario({ pool: { quiesce: true, vms: 1, diskMib: 2 } });
  pool.faults.add({ method: 'VM.snapshot_with_quiesce', drop: 'after', times: 1 });
  const done = await job(await request(pool.vms()[0]?.uuid ?? '', { quiesce: 'require' }));
  expect(done).toMatchObject({ status: 'succeeded', consistency: 'quiesced' });
});

it('refuses a quiesced snapshot before anything is written where the release has none', async () => {
  const all = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const { status, body } = await all.ask('POST', '/snapshots', {
    vm: all.pool.vms()[0]?.uuid,
    quiesce: 'require',
  });
  expect({ status, name: body.error.name }).toEqual({ status: 409, name: 'QuiesceNotSupported' });
  expect(body.error.message).toMatch(/no quiesced snapshots.*"prefer" or "never"/);
  await expectUntouched(all);
});

it('falls back to a crash-consistent snapshot where the release has no quiesced ones, and says so', async () => {
  const { pool, glance, ask, request, job } = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const done = await job(await request(pool.vms()[0]?.uuid ?? '', { quiesce: 'prefer' }));
  expect(done).toMatchObject({ status: 'succeeded', consistency: 'crash-consistent' });
  expect(story(pool.calls).at(-2)).toBe('Async.VM.snapshot');
  expect(glance.images()).toMatchObject([{ properties: { xensnap_consistency: 'crash-consistent' } }]);
  expect((await ask('GET', `/snapshots/${done.id}`)).body.warnings).toEqual([
    expect.stringMatching(/^Not quiesced, only crash-consistent: .*no quiesced snapshots/),
  ]);
});

it.each(['Halted', 'Paused', 'Suspended'] as const)(
  'refuses to quiesce a VM that is %s',
  async (powerState) => {
    const vms = [{ name: 'still', diskMib: 2, powerState }];
    const all = await scenario({ pool: { quiesce: true, vms: 0 }, vms });
    const { status, body } = await all.ask('POST', '/snapshots', { vm: 'still', quiesce: 'require' });
    expect({ status, name: body.error.name }).toEqual({ status: 409, name: 'QuiesceNotSupported' });
    expect(body.error.message).toContain(`"still" is ${powerState.toLowerCase()}`);
    await expectUntouched(all);
  },
);

it('images a VM that is not running, and warns, where quiescing is only preferred', async () => {
  const vms = [{ name: 'still', diskMib: 2, powerState: 'Halted' as const }];
  const { request, job } = await scenario({ pool: { quiesce: true, vms: 0 }, vms });
  const done = await job(await request('still', { quiesce: 'prefer' }));
  expect(done).toMatchObject({ status: 'succeeded', consistency: 'crash-consistent' });
  expect(done.warnings).toHaveLength(1);
});

// The guest reports an error after its snapshot is made; never answers; answers too late; has no provider.
const FAILING = ['half', 'silent', 'timeout', 'none'] as const;

it.each(['require', 'prefer'] as const)(
  'leaves nothing behind when the guest fails to quiesce and the caller says "%s"',
  async (quiesce) => {
    const { pool, glance, request, job, leftBehind } = await scenario({
      pool: { quiesce: true, vms: 0 },
      vms: FAILING.map((vss) => ({ name: vss, vss, diskMib: 2 })),
      slots: FAILING.length,
      speed: 20,
    });
    const ids = await Promise.all(FAILING.map((name) => request(name, { quiesce })));
    const jobs = await Promise.all(ids.map((id) => job(id)));
    const ended = jobs.map(({ vmName, status, consistency, error }) => ({
      vmName,
      status,
      consistency,
      error: error?.name,
    }));
    expect(ended).toEqual(
      FAILING.map((vmName) =>
        quiesce === 'prefer'
          ? { vmName, status: 'succeeded', consistency: 'crash-consistent', error: undefined }
          : {
              vmName,
              status: 'failed',
              consistency: undefined,
              error: vmName === 'none' ? 'QuiesceNotSupported' : 'QuiesceFailed',
            },
      ),
    );
    const said = jobs.map(({ error, warnings }) => error?.message ?? warnings?.[0]);
    expect(said).toEqual([
      expect.stringContaining('VM_SNAPSHOT_WITH_QUIESCE_FAILED'),
      expect.stringContaining('VM_SNAPSHOT_WITH_QUIESCE_PLUGIN_DEOS_NOT_RESPOND'),
      expect.stringContaining('VM_SNAPSHOT_WITH_QUIESCE_TIMEOUT'),
      expect.stringContaining('VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED'),
    ]);
    expect(glance.images()).toHaveLength(quiesce === 'prefer' ? FAILING.length : 0);
    expect(pool.vms().map((vm) => vm.liveXenstore()?.[LOCK])).toEqual(FAILING.map(() => 'false'));
    // On a clock so fast a round of the janitor may have a session just then.
    await expect.poll(leftBehind, { timeout: 60_000 }).toEqual([]);
  },
  180_000,
);
