import { describe, expect, it } from 'vitest';
import { expandSchedule } from '../../functions/schedules/expand.ts';
import { askOnce } from '../../functions/schedules/pool-vms.ts';
import { aSchedule } from '../functions/schedules/a-schedule.ts';
import { memoryRuntime } from './memory-runtime.ts';
import { type Night, night } from './night.ts';
import { figuresOf, nightRows } from './night-figures.ts';
import { sessionsOf } from './night-services.ts';
import { Quotas } from './quotas.ts';
import { randomOf } from './random.ts';
import { ThrottledTable } from './throttled-table.ts';
import { Timeline } from './timeline.ts';

const longest = (rounds: Night['ticks']) => Math.max(...rounds.map(({ seconds }) => seconds));
const failures = (rounds: Night['ticks']) => rounds.flatMap(({ failure }) => failure ?? []);

// As many to a host as in docs/night.md, which has the whole of it: twenty thousand on 400 hosts take minutes.
describe.each([2, 4])('a night with %i slots a host', { timeout: 300_000 }, (slots) => {
  const options = { vms: 1000, pools: 4, hosts: 20, slots, seed: 20260505 };
  const done = night(options);

  it('takes the jobs in their order, no host over its limit, its slots in use, and lets nothing lie', async () => {
    const { most, granted, lined, before, snapshots } = await done;
    const figures = figuresOf(await done, options);
    console.log(
      nightRows(options, await done)
        .map(([what, value]) => `  ${what.padEnd(36)}${value}`)
        .join('\n'),
    );
    expect(snapshots).toHaveLength(options.vms);
    expect(most).toEqual({ held: slots, running: slots });
    expect(figures.worstHeld).toBeGreaterThanOrEqual(0.99);
    expect(figures.idle.most).toBeLessThan(1);
    expect(granted).toEqual(lined);
    expect(before).toEqual({ open: 0, outcomes: { succeeded: options.vms }, holders: 0 });
  });

  it('makes three admissions a job at most', async () => {
    expect((await done).admissions.calls).toBeLessThanOrEqual(3 * options.vms);
  });

  it('asks for every job within the hour, on the next day, too, in looks that end in time', async () => {
    const { asked, ticks } = await done;
    for (const day of asked) {
      expect(day).toHaveLength(options.vms);
      expect(Math.max(...day)).toBeLessThan(3600);
    }
    expect([failures(ticks), longest(ticks) < 150]).toEqual([[], true]);
  });

  it('lets each round of the janitor come to its end, and gives it nothing to find', async () => {
    const { rounds } = await done;
    expect(rounds.length).toBeGreaterThanOrEqual(96);
    expect(failures(rounds)).toEqual([]);
    expect(longest(rounds)).toBeLessThan(600);
    expect(rounds.filter(({ findings }) => findings > 0)).toEqual([]);
  });

  it('is turned away for good by no quota', async () => {
    const { quotas, functions } = await done;
    expect([...quotas.usage].filter(([, { failed }]) => failed > 0)).toEqual([]);
    expect(functions.throttled).toBe(0);
  });
});

it('puts the runs of twenty thousand VMs on record in a quarter of what a look at the schedules has', {
  timeout: 180_000,
}, async () => {
  const [time, pools] = [new Timeline(), Array.from({ length: 40 }, (_, n) => `pool-${n}`)];
  const quotas = new Quotas(time, randomOf(1));
  const whole = memoryRuntime(time, new ThrottledTable(time, quotas), { pools });
  const vmsOf = (pool: string) =>
    Object.fromEntries(
      Array.from({ length: 500 }, (_, n) => [n, { uuid: `${pool}-${n}`, name_label: `vm-${n}`, tags: [] }]),
    );
  const runtime = { ...whole, withSession: sessionsOf(time, vmsOf, () => ({})) };
  const schedule = aSchedule(time.now(), { selector: {}, nextAt: time.now().toISOString() });
  let taken = 0;
  time.in(0, async () => {
    await runtime.store.schedules.create(schedule);
    await expandSchedule(schedule.id, runtime, askOnce(runtime));
    taken = time.seconds;
    expect(await Array.fromAsync(runtime.store.runs.open())).toHaveLength(20_000);
  });
  await time.run();
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThan(45);
  expect(quotas.usage.get('writes of index keys')).toMatchObject({ throttled: 0 });
  await whole.close();
});
