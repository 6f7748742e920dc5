import { expect, it } from 'vitest';
import { expiryOf } from '../../functions/clock.ts';
import { isFinished, snapshotLabel } from '../../functions/job.ts';
import { DEBTS } from '../../functions/words.ts';
import { aJob } from './api/a-job.ts';

it('labels the snapshot with the id of its job', () => {
  expect(snapshotLabel('1234')).toBe('xensnap-1234');
});

it('is finished when its outcome is told, whatever it still owes', () => {
  expect(isFinished(aJob({ status: 'running' }))).toBe(false);
  expect(isFinished(aJob({ finishedAt: 'then', debts: new Set(DEBTS) }))).toBe(true);
});

it('pays first what still reads the disk, and gives the slot back last', () => {
  expect(DEBTS.indexOf('plugin')).toBeLessThan(DEBTS.indexOf('snapshot'));
  expect(DEBTS.at(-1)).toBe('slot');
});

it('lets the table forget a job after so many days, told in whole seconds', () => {
  expect(expiryOf(new Date('1970-01-02T00:00:00.900Z'), 0.5)).toBe(86_400 + 43_200);
});
