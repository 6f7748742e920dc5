import { expect, it } from 'vitest';
import { INSTALLATION, standingLines } from '../../cost/standing.ts';
import { parseConfig } from '../../functions/config.ts';
import { billOf, sumOf } from '../../functions/cost/bill.ts';
import { DEFAULT_TIMINGS, PLAIN_JOB } from '../../functions/cost/model.ts';
import { PRICES, PRICES_OF } from '../../functions/cost/prices.ts';

const bill = (minutes: number) => billOf({ ...PLAIN_JOB, uploadSeconds: minutes * 60 });

it('takes at most 100 transitions and costs below a cent with an upload of 20 minutes', () => {
  const { walk, usd } = bill(20);
  console.log(`20 minutes of upload: ${walk.transitions} transitions, $${usd.toFixed(5)}`);
  expect(walk.transitions).toBeLessThanOrEqual(100);
  expect(usd).toBeLessThan(0.01);
});

it('does so after eight hours in the line, an hour of them at its head', () => {
  const { walk, usd } = billOf({ ...PLAIN_JOB, queueSeconds: 8 * 3600, headSeconds: 3600 });
  expect(walk.transitions).toBeLessThanOrEqual(100);
  expect(usd).toBeLessThan(0.01);
});

it('charges nothing for waiting in a line behind others', () => {
  const waited = billOf({ ...PLAIN_JOB, queueSeconds: 8 * 3600 });
  expect(waited.usd).toBe(billOf(PLAIN_JOB).usd);
});

it('costs more the longer the upload takes, and never in proportion to it', () => {
  const usd = [1, 20, 60, 600].map((minutes) => bill(minutes).usd);
  expect(usd).toEqual(usd.toSorted((a, b) => a - b));
  expect(usd[3]).toBeLessThan(10 * (usd[1] ?? 0));
});

it('sums up its lines, each quantity at its price', () => {
  const { lines, usd, walk } = bill(20);
  for (const { what, quantity, usd: of } of lines) expect(of).toBeCloseTo(quantity * PRICES[what].usd, 12);
  expect(sumOf(lines)).toBe(usd);
  expect(lines.find(({ what }) => what === 'transition')?.quantity).toBe(walk.transitions);
  expect(lines.every(({ quantity }) => Number.isFinite(quantity) && quantity > 0)).toBe(true);
});

it('reckons with the waits that the configuration has by default', () => {
  const { timings } = parseConfig(
    JSON.stringify({ installation: 'x', pools: [{ name: 'p' }], glance: { url: 'http://glance' } }),
  );
  expect(timings).toMatchObject(DEFAULT_TIMINGS);
});

it('adds an endpoint’s hours for each zone, and a secret for each pool', () => {
  const usd = (more: object) => sumOf(standingLines({ ...INSTALLATION, ...more }));
  const two = usd({ zones: 2 });
  expect(usd({ zones: 3 }) - two).toBeCloseTo(2 * 730 * 0.01, 6);
  expect(usd({ pools: 2 }) - usd({ pools: 1 })).toBeGreaterThan(0.4);
});

it('says of every price where and when it was read, and which nobody but AWS would vouch for', () => {
  expect(PRICES_OF).toMatch(/^\d{4}-\d\d-\d\d$/);
  for (const { usd, source, from, unit } of Object.values(PRICES)) {
    expect(usd).toBeGreaterThan(0);
    expect(`${source}${unit}`).not.toBe('');
    if (from === 'aws') expect(source).toMatch(/^aws\.amazon\.com\//);
  }
});
