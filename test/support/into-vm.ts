import { expect } from 'vitest';
import type { VmSpec } from '../../local/pool/pool.ts';
import { POOL_NAME, type Scenario, type ScenarioOptions, scenario } from './scenario.ts';

export const SPEC: VmSpec = { name: 'shop', diskMib: 4, dataMib: 1, powerState: 'Halted', nics: [{}] };
export const timings = {
  snapshotLostSeconds: 5,
  snapshotPollSeconds: 1,
  callSeconds: 4,
  shutdownSeconds: 20,
  claimSeconds: 30,
};

export type Imaged = Scenario & { image: string; old: string };

/** A VM that was imaged and is to get its disk back. */
export async function imaged(options: ScenarioOptions = {}, spec: Partial<VmSpec> = {}): Promise<Imaged> {
  const at = await scenario({
    ...options,
    vms: [{ ...SPEC, ...spec }],
    pool: { vms: 0, ...options.pool },
    service: { timings, ...(typeof options.service === 'object' && options.service) },
  });
  const old = at.pool.vm('shop').rootVdi?.uuid ?? '';
  const image = await at.request('shop', { force: true });
  expect(await at.job(image)).toMatchObject({ status: 'succeeded' });
  return { ...at, image, old };
}

export const disksOf = async ({ pool }: Scenario) => (await pool.inventory()).vdis;

/** What a step breaks off with. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

/** Attaches a disk to a further VM. */
export async function attach({ service }: Pick<Scenario, 'service'>, VDI: string, VM: string): Promise<void> {
  const vbd = { VM, VDI, userdevice: '5', bootable: false, mode: 'RW', type: 'Disk' };
  const none = { other_config: {}, qos_algorithm_type: '', qos_algorithm_params: {} };
  await service.runtime.withSession(POOL_NAME, (xapi) =>
    xapi.call('VBD.create', { ...vbd, ...none, unpluggable: true, empty: false } as never),
  );
}
