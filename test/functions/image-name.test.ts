import { expect, it } from 'vitest';
import { defaultName, replacedTexts } from '../../functions/image-name.ts';

const now = new Date('2026-05-05T02:00:59Z');

it.each([
  ['web-1', 'web-1-2026-05-05T02:00Z'],
  ['🚀 db', '\ufffd db-2026-05-05T02:00Z'],
  ['n'.repeat(237), `${'n'.repeat(237)}-2026-05-05T02:00Z`],
  ['n'.repeat(249), `${'n'.repeat(237)}-2026-05-05T02:00Z`],
  [`${'n'.repeat(236)}🚀🚀`, `${'n'.repeat(236)}\ufffd-2026-05-05T02:00Z`],
  ['', '-2026-05-05T02:00Z'],
])('names an image of %j after it and the minute, in 255 characters', (vmName, name) => {
  expect(defaultName(vmName, now)).toBe(name);
  expect(name.length).toBeLessThanOrEqual(255);
});

it('tells the caller of each text that Glance gets in other characters', () => {
  expect(replacedTexts({ name: 'plain ☃', metadata: { a: 'b' } })).toEqual([]);
  expect(replacedTexts({})).toEqual([]);
  expect(replacedTexts({ name: '🚀', metadata: { team: 'blue 🐳', a: 'b' } })).toEqual([
    expect.stringMatching(/^name has /),
    expect.stringMatching(/^metadata\.team has /),
  ]);
});
