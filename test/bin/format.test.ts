import { expect, it } from 'vitest';
import { age, duration, printable, size } from '../../bin/format.ts';
import { rateMeter } from '../../bin/progress.ts';

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [1.5 * 2 ** 30, '1.5 GiB'],
  [2 ** 50, '1.0 PiB'],
])('writes %i bytes as %s', (bytes, text) => {
  expect(size(bytes)).toBe(text);
});

it.each([
  [0, '0:00'],
  [59.6, '1:00'],
  [3599, '59:59'],
  [3723, '1:02:03'],
])('writes %d seconds as %s', (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

it.each([
  [0, '0 min'],
  [555, '9 min'],
  [7140, '119 min'],
  [3 * 3600, '3 h'],
  [47.9 * 3600, '47 h'],
  [60 * 3600, '2 d'],
])('writes an age of %d seconds as %s', (seconds, text) => {
  expect(age(seconds)).toBe(text);
});

it('measures a rate, and anew when the count begins again', () => {
  const rate = rateMeter();
  const at = (seconds: number) => new Date(seconds * 1000);
  expect(rate(null, at(0))).toBeUndefined();
  expect(rate(0, at(1))).toBeUndefined();
  expect(rate(100, at(2))).toBe(100);
  expect(rate(400, at(3))).toBe(200);
  expect(rate(10, at(4))).toBeUndefined();
  expect(rate(20, at(5))).toBe(10);
});

it('shows neither escape sequences nor what turns a line round', () => {
  expect(printable('a\u001b[2J\u009b1m b\u202egpj.exe\u2066 שלום é 😀')).toBe(
    'a?[2J?1m b?gpj.exe? שלום é 😀',
  );
});
