import { expect, it } from 'vitest';
import { planOf } from './plan.ts';
import { play } from './play.ts';

it('makes the same schedule of a seed again', () => {
  expect(planOf(7)).toEqual(planOf(7));
  expect(planOf(7)).not.toEqual(planOf(8));
});

// A thousand and more of them: npm run test:random
it.each([1, 101])(
  'leaves nothing, and touches nothing foreign, in the random schedule %i',
  async (seed) => {
    expect((await play(planOf(seed))).wrong).toEqual([]);
  },
  180_000,
);
