import { expect, it } from 'vitest';
import type { Finding, JanitorReport } from '../../../functions/janitor/finding.ts';
import { later, NOW, storeOfFile } from './a-store.ts';

const parts = storeOfFile();
const aFinding = (id: string, what = 'a token'): Finding => ({
  kind: 'secret',
  pool: 'demo',
  id,
  what,
  action: 'removed',
});
const aReport = (findings: readonly Finding[]): JanitorReport => ({
  dryRun: false,
  startedAt: NOW.toISOString(),
  finishedAt: later(4).toISOString(),
  findings,
});

it('has none before the first round', async () => {
  expect(await parts.store.janitorReports.last()).toBeUndefined();
});

it('keeps the last one, whole', async () => {
  const { janitorReports } = parts.store;
  await janitorReports.keep(aReport([aFinding('s1')]));
  const last = {
    ...aReport([aFinding('s2'), { kind: 'image', id: 'i', what: 'x', action: 'left' }]),
    dryRun: true,
  };
  await janitorReports.keep(last);
  expect(await janitorReports.last()).toEqual({ ...last, omitted: 0 });
});

it.each([
  ['many', Array.from({ length: 5000 }, (_, n) => aFinding(`s${n}`))],
  ['of long texts', Array.from({ length: 50 }, (_, n) => aFinding(`s${n}`, '€'.repeat(10_000)))],
  ['one too large by itself', [aFinding('s', 'x'.repeat(500_000))]],
])('leaves off what DynamoDB would not take (%s), and says how much', async (_what, findings) => {
  await parts.store.janitorReports.keep(aReport(findings));
  const last = await parts.store.janitorReports.last();
  const kept = last?.findings.length ?? 0;
  expect(last?.omitted).toBeGreaterThan(0);
  expect(kept + (last?.omitted ?? 0)).toBe(findings.length);
  expect(last?.findings).toEqual(findings.slice(0, kept));
});
