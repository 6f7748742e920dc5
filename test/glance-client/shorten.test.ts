import { expect, it } from 'vitest';
import { shorten } from '../../glance/shorten.ts';

it.each([
  ['as it is where there is room', 'one two', 7, 'one two'],
  ['at the end of the last whole word', 'one two three', 10, 'one two…'],
  ['where a word just ends', 'one two three', 8, 'one two…'],
  ['in the midst of a word that takes up most of the room', 'a supercalifragilistic', 10, 'a superca…'],
  ['between characters and never within one', '🙂🙂🙂🙂', 3, '🙂🙂…'],
  ['without the space before the ellipsis', 'one two    three', 9, 'one two…'],
])('cuts a text %s', (_, text, most, shortened) => {
  expect(shorten(text, most)).toBe(shortened);
  expect([...shorten(text, most)].length).toBeLessThanOrEqual(most);
});
