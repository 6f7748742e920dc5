import { expect, it } from 'vitest';
import { readRestoreTested } from '../../functions/restore-tested.ts';

const proven = { at: '2026-11-29T11:00:00.000Z', seconds: 42, reached: 'tools' };
const failed = { at: '2026-11-29T11:00:00.000Z', seconds: 42, failed: 'ImageDamaged' };

it('reads what a test has said of an image', () => {
  for (const said of [proven, failed]) expect(readRestoreTested(JSON.stringify(said))).toEqual(said);
});

it.each([
  ['nothing', undefined],
  ['no JSON', 'proven'],
  ['both at once', JSON.stringify({ ...proven, ...failed })],
  ['neither', JSON.stringify({ at: proven.at, seconds: 1 })],
  ['more than it may say', JSON.stringify({ ...proven, by: 'me' })],
  ['no time', JSON.stringify({ ...proven, at: 'yesterday' })],
  ['no error’s name', JSON.stringify({ ...failed, failed: 'it was all right' })],
  ['more than a property holds', JSON.stringify({ ...failed, failed: 'x'.repeat(60) }).padEnd(300)],
])('believes none that says %s', (_, text) => {
  expect(readRestoreTested(text)).toBeUndefined();
});
