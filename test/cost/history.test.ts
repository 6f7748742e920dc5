import { expect, it } from 'vitest';
import { type JobModel, PLAIN_JOB } from '../../functions/cost/model.ts';
import { walk } from '../../functions/cost/walk.ts';
import { MACHINES } from '../../statemachine/contract.ts';

const { cleanup } = MACHINES.snapshot;

const HOURS = 3600;
/** The longest job that the configuration lets through: three days of upload, and every other wait as long as it gets. */
const LONGEST: JobModel = {
  ...PLAIN_JOB,
  uploadSeconds: 72 * HOURS,
  snapshotSeconds: 600,
  coalesceLooks: 600 / 15 + 1,
  queueSeconds: 48 * HOURS,
  vmWaitSeconds: 12 * HOURS,
  requeues: 2,
};

it('keeps the history of an upload of 72 hours below 20,000 events', () => {
  const { events, entered } = walk(LONGEST);
  console.log(`72 hours of upload: ${entered.PollUpload} polls, ${events} events`);
  expect(entered.PollUpload).toBeGreaterThan(864);
  expect(events).toBeLessThan(20_000);
});

it.each([0.05, 0.2, 0.5, 2, 100])(
  'does so although the plugin’s estimate is %s times the truth',
  (estimateFactor) => {
    expect(walk({ ...LONGEST, estimateFactor }).events).toBeLessThan(20_000);
  },
);

it('does so although the job then fails and goes through the whole cleanup', () => {
  const failed = walk({ ...LONGEST, fails: 'VerifyImage' });
  expect(failed.entered).toMatchObject({
    ...Object.fromEntries(cleanup.map((step) => [step, 1])),
    JobFailed: 1,
  });
  expect(failed.entered.JobSucceeded).toBeUndefined();
  expect(failed.events).toBeLessThan(20_000);
});

it('does so although every hundredth poll needs the most second tries that the state machine gives it', () => {
  const { PollUpload = 0 } = walk(LONGEST).entered;
  const retries = { PollUpload: Math.ceil(PollUpload / 100) * 65 };
  expect(walk({ ...LONGEST, retries }).events).toBeLessThan(20_000);
});

it('counts a second try as a transition and as three events', () => {
  const plain = walk(PLAIN_JOB);
  const tried = walk({ ...PLAIN_JOB, retries: { UnlockVm: 2 } });
  expect(tried.transitions).toBe(plain.transitions + 2);
  expect(tried.events).toBe(plain.events + 6);
  expect(tried.runs.UnlockVm).toBe(3);
  expect(tried.entered).toEqual(plain.entered);
});

it.each(cleanup)('goes on to the end although %s fails', (fails) => {
  const { entered } = walk({ ...PLAIN_JOB, fails });
  expect((entered.JobFailed ?? 0) + (entered.JobSucceeded ?? 0)).toBe(1);
});
