import { expect, it } from 'vitest';
import { POOL_NAME, scenario } from '../support/scenario.ts';

it.each([
  ['fails where something is left behind', [], ['AssertionError']],
  ['does not where that was expected', ['leases: more: "forgotten"'], []],
] as const)('%s at the end of a scenario', async (_, leaves, failures) => {
  const closing: (() => Promise<unknown>)[] = [];
  const at = await scenario({
    pool: { vms: 1, diskMib: 2 },
    atEnd: (close) => void closing.unshift(close),
    leaves,
  });
  const vm = at.pool.vms()[0]?.uuid ?? '';
  await at.service.runtime.store.leases.takeVm(POOL_NAME, vm, 'forgotten', at.clock.now(), 960);
  const failed: string[] = [];
  for (const close of closing) await close().catch((error: Error) => failed.push(error.name));
  expect(failed).toEqual(failures);
});
