import { expect, it } from 'vitest';
import { logIn } from '../local/pool/client.ts';
import { scenario } from '../support/scenario.ts';

const LOCK = 'vm-data/allowvssprovider';
const vms = [
  { name: 'locked', diskMib: 2 },
  { name: 'open', diskMib: 2, locked: false },
];

it.each([
  [
    'lock' as const,
    { locked: 'false', open: 'false' },
    [expect.stringMatching(/^pool: locks: more: [^;]*"live":"false","database":"false"[^;]*; gone: [^;]*$/)],
  ],
  ['restore' as const, { locked: 'false', open: undefined }, []],
])('leaves the VMs as the configuration’s relock "%s" says', async (relock, expected, leaves) => {
  const { pool, request, job } = await scenario({ pool: { vms: 0 }, vms, service: { relock }, leaves });
  const jobs = await Promise.all(
    (await Promise.all(vms.map(({ name }) => request(name)))).map((id) => job(id)),
  );
  expect(jobs.map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);
  for (const [name, value] of Object.entries(expected)) {
    const vm = pool.vm(name);
    expect(vm.liveXenstore()?.[LOCK]).toBe(value);
    expect((vm.record().xenstore_data as Record<string, string>)[LOCK]).toBe(value);
  }
});

it('keeps the VM’s other xenstore data and its other_config, while it works and after it', async () => {
  const seen: { state: string; data: unknown }[] = [];
  const { pool, request, job } = await scenario({
    pool: { vms: 0 },
    vms: [{ name: 'locked', diskMib: 2, otherConfig: { owner: 'blue' } }],
    prepare: async (pool) => {
      const vm = pool.vm('locked');
      const admin = await logIn(pool.url, pool.username, pool.password);
      await admin.call('VM.set_xenstore_data', vm.ref, { [LOCK]: 'false', 'vm-data/hostname': 'blue-1' });
      await admin.call('session.logout');
    },
    service: {
      onState: (_job, state) => void seen.push({ state, data: pool.vm('locked').liveXenstore() }),
    },
  });
  await job(await request('locked'));
  const during = seen.find(({ state }) => state === 'StartSnapshot')?.data;
  expect(during).toEqual({ 'vm-data/hostname': 'blue-1' });
  expect(pool.vm('locked').liveXenstore()).toEqual({ [LOCK]: 'false', 'vm-data/hostname': 'blue-1' });
  expect(pool.vm('locked').record().other_config).toEqual({ owner: 'blue' });
});
