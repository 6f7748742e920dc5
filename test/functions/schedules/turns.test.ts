import { expect, it } from 'vitest';
import { inTurns } from '../../../functions/schedules/turns.ts';

it('takes one of each group in turn, and of a group in its order', () => {
  const of = (text: string) => inTurns(text.split(' '), ([group]) => group).join(' ');
  expect(of('a1 a2 a3 b1 c1 b2')).toBe('a1 b1 c1 a2 b2 a3');
  expect(of('a1')).toBe('a1');
  expect(inTurns([], () => 'a')).toEqual([]);
});

it('lets nobody be a group of their own', () => {
  expect(inTurns([1, 2, 3, 4], (n) => (n < 4 ? undefined : 'a'))).toEqual([1, 4, 2, 3]);
});
