import { expect, it } from 'vitest';
import { glanceText, refuseUnfit } from '../../functions/glance-text.ts';

it.each([
  ['web-1', 'web-1'],
  ['Ünïcödé ☃ 漢字 e\u0301', 'Ünïcödé ☃ 漢字 e\u0301'],
  ['🚀 db', '\ufffd db'],
  ['👩‍💻', '\ufffd\u200d\ufffd'],
  ['half \ud83d a pair', 'half \ufffd a pair'],
  ['\ude80', '\ufffd'],
  ['a\0b', 'a\ufffdb'],
  ['x'.repeat(256), 'x'.repeat(255)],
  [`${'x'.repeat(254)}🚀y`, `${'x'.repeat(254)}\ufffd`],
  ['🚀'.repeat(256), '\ufffd'.repeat(255)],
])('makes of %j what Glance takes', (text, expected) => {
  expect(glanceText(text)).toBe(expected);
  expect(glanceText(expected)).toBe(expected);
});

it('cuts to fewer characters, none of them in two', () => {
  expect(glanceText('ab🚀cd', 3)).toBe('ab\ufffd');
});

it('refuses where nothing may be replaced, and names the character', () => {
  refuseUnfit('backup.type', 'täglich ☃');
  expect(() => refuseUnfit('backup.type', 'daily 🚀')).toThrow(
    expect.objectContaining({
      name: 'BadRequest',
      message: expect.stringMatching(/^backup\.type: .*U\+1F680/),
    }),
  );
});
