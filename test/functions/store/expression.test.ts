import { expect, it } from 'vitest';
import { both, expressionOf } from '../../../functions/store/expression.ts';

it('puts parentheses around conditions of which one is enough, and around no others', () => {
  expect(both('a', 'b AND c')).toBe('a AND b AND c');
  expect(both('a OR b', 'c')).toBe('(a OR b) AND c');
  expect(both('a', 'b OR c AND d')).toBe('a AND (b OR c AND d)');
  expect(both(both('a OR b', 'c'), 'd')).toBe('((a OR b) AND c) AND d');
});

it('refuses a write that was done already, whatever else it asks', () => {
  const isFirst = 'attribute_not_exists(#writeId) OR #writeId <> :writeId';
  expect(expressionOf({ set: { a: 1 } }, 'w').ConditionExpression).toBe(isFirst);
  expect(expressionOf({ when: 'attribute_exists(a)' }, 'w').ConditionExpression).toBe(
    `(${isFirst}) AND attribute_exists(a)`,
  );
  expect(expressionOf({ when: 'a = b OR c = d' }, 'w').ConditionExpression).toBe(
    `(${isFirst}) AND (a = b OR c = d)`,
  );
});
