import { expect, it } from 'vitest';
import { type NightOptions, night } from './night.ts';
import { figuresOf, nightTable } from './night-figures.ts';

const NIGHTS: readonly NightOptions[] = [
  { vms: 1000, hosts: 40, slots: 2, seed: 20260505 },
  { vms: 20_000, hosts: 400, slots: 2, seed: 20260505 },
];

it.each(NIGHTS)(
  'brings $vms VMs on $hosts hosts through a night: in their order, no host over its limit, its slots in use',
  async (options) => {
    const begun = performance.now();
    const done = await night(options);
    const seconds = (performance.now() - begun) / 1000;
    const figures = figuresOf(done, options);
    const mebibytes = process.resourceUsage().maxRSS / 1024;
    console.log(nightTable(options, done, figures, { seconds, mebibytes }));

    expect(done.most).toEqual({ held: options.slots, running: options.slots });
    expect(figures.held).toBeGreaterThanOrEqual(0.95);
    expect(figures.worstHeld).toBeGreaterThanOrEqual(0.95);
    expect(done.granted).toEqual(done.lined);

    const { jobs, counters, leases } = done.runtime.store;
    expect(done.snapshots).toHaveLength(options.vms);
    for (const { jobId } of done.snapshots) expect((await jobs.get(jobId))?.status).toBe('succeeded');
    expect((await jobs.openPage()).items).toEqual([]);
    for (const host of done.lined.keys()) expect(await counters.holders(`host#${host}`)).toEqual([]);
    expect(await leases.holderOfVm('demo', 'vm-0')).toBeUndefined();
  },
  180_000,
);
