import { expect, it } from 'vitest';
import { type Need, Quotas, Throttled } from './quotas.ts';
import { Timeline } from './timeline.ts';

const FEW: Need = { name: 'few', quota: { bucket: 3, perSecond: 2 }, count: 1 };

/** What became of calls, each with its time. */
async function callAt(times: readonly number[], random = () => 0.5) {
  const time = new Timeline();
  const quotas = new Quotas(time, random);
  const ends: string[] = [];
  for (const at of times)
    time.in(at, async () => {
      try {
        await quotas.call([FEW]);
        ends.push(`${at} done at ${time.seconds}`);
      } catch (error) {
        expect(error).toBeInstanceOf(Throttled);
        ends.push(`${at} refused at ${time.seconds}`);
      }
    });
  await time.run();
  return { ends, usage: quotas.usage.get('few') };
}

it('lets a bucket through at once, and then as much as it is filled with', async () => {
  const { ends, usage } = await callAt([0, 0, 0, 1, 1]);
  expect(ends).toEqual(['0 done at 0', '0 done at 0', '0 done at 0', '1 done at 1', '1 done at 1']);
  expect(usage).toMatchObject({ calls: 5, throttled: 0, failed: 0, most: 3 });
});

it('tries again twice, as the SDK does, and then tells who called', async () => {
  const { ends, usage } = await callAt(Array(8).fill(0));
  expect(ends.filter((end) => end.endsWith('done at 0'))).toHaveLength(3);
  expect(ends.filter((end) => end.includes('refused'))).not.toEqual([]);
  expect(usage).toMatchObject({ failed: ends.filter((end) => end.includes('refused')).length });
});

it('takes nothing of one quota where another turns the call away', async () => {
  const time = new Timeline();
  const quotas = new Quotas(time, () => 0);
  const none: Need = { name: 'none', quota: { bucket: 0, perSecond: 0 }, count: 1 };
  time.in(0, async () => {
    await expect(quotas.call([FEW, none])).rejects.toThrow(Throttled);
    for (let n = 0; n < 3; n++) await quotas.call([FEW]);
  });
  await time.run();
  expect(quotas.usage.get('few')).toMatchObject({ calls: 3, throttled: 0, failed: 0 });
  expect(quotas.usage.get('none')).toMatchObject({ calls: 0, throttled: 3, failed: 1 });
});

it('holds up in turn what is never turned away', async () => {
  const time = new Timeline();
  const quotas = new Quotas(time, () => 0.5);
  const entered: number[] = [];
  // 800 at once, and 500 a second.
  for (let n = 0; n < 5; n++)
    time.in(0, async () => {
      await quotas.wait('StateTransition', 400);
      entered.push(time.seconds);
    });
  await time.run();
  expect(entered).toEqual([0, 0, 0.8, 1.6, 2.4]);
  expect(quotas.usage.get('StateTransition')).toMatchObject({ calls: 2000, throttled: 3, longest: 2.4 });
});
