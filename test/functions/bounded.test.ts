import { expect, it } from 'vitest';
import { keptFor } from '../../functions/bounded.ts';

/** A question that is answered when the test says so, with how often it was asked. */
function aQuestion() {
  const asked: PromiseWithResolvers<number>[] = [];
  let seconds = 0;
  const get = keptFor(5, { now: () => new Date(seconds * 1000) }, () => {
    const question = Promise.withResolvers<number>();
    asked.push(question);
    return question.promise;
  });
  const at = (time: number) => {
    seconds = time;
  };
  return { asked, get, at };
}

it('asks once for all who ask while the answer is on its way, and keeps it for its time', async () => {
  const { asked, get, at } = aQuestion();
  const all = Array.from({ length: 100 }, () => get());
  expect(asked).toHaveLength(1);
  asked[0]?.resolve(1);
  expect(new Set(await Promise.all(all))).toEqual(new Set([1]));
  at(4.9);
  expect(await get()).toBe(1);
  at(5);
  const next = get();
  asked[1]?.resolve(2);
  expect([await next, asked.length]).toEqual([2, 2]);
});

it('keeps no failure, and no answer from a time to come', async () => {
  const { asked, get, at } = aQuestion();
  at(100);
  const failed = get();
  asked[0]?.reject(new Error('away'));
  await expect(failed).rejects.toThrow('away');
  const next = get();
  asked[1]?.resolve(1);
  expect(await next).toBe(1);
  at(50);
  void get();
  expect(asked).toHaveLength(3);
});
