import { beforeAll, expect, it } from 'vitest';
import { PLAIN_JOB, PLAIN_RESTORE } from '../../functions/cost/model.ts';
import {
  ADMISSION,
  API,
  INDEX_WRITES,
  JOB_RECORD_KB,
  STEP_USE,
  WRITES_AT_LAST,
} from '../../functions/cost/step-use.ts';
import { walk } from '../../functions/cost/walk.ts';
import { MACHINES, type StepName } from '../../statemachine/contract.ts';
import { type RealRun, realRun } from './a-real-run.ts';

const UPLOAD_LOOKS = 6;
let real: RealRun;

beforeAll(async () => {
  real = await realRun(UPLOAD_LOOKS);
}, 120_000);

/** The walk of a job with the polls that there really were. */
function walkOfReal() {
  const { PollSnapshot = 0, AwaitCoalesce = 0, PollUpload = 0 } = real.entered;
  expect(PollUpload).toBeGreaterThan(UPLOAD_LOOKS);
  return walk({
    ...PLAIN_JOB,
    snapshotPolls: PollSnapshot,
    coalesceLooks: AwaitCoalesce,
    uploadPolls: PollUpload,
  });
}

it('enters the states that a real execution enters, as often', () => {
  expect(walkOfReal().entered).toEqual(real.entered);
});

it('counts the events that a real history has', () => {
  expect(walkOfReal().events).toBe(real.history.length);
});

it('reckons with the reads and writes of the table that a real run makes', () => {
  const steps = Object.entries(real.entered).filter(([name]) => name in STEP_USE) as [StepName, number][];
  const reckoned = steps.map(([name, runs]) => {
    const { reads, jobWrites, smallWrites } = STEP_USE[name];
    const last = WRITES_AT_LAST[name] ?? 0;
    return [
      name,
      { reads: runs * reads, jobWrites: runs * jobWrites + last, smallWrites: runs * smallWrites },
    ];
  });
  const of = ({ reads, jobWrites, smallWrites }: (typeof STEP_USE)[StepName]) => ({
    reads,
    jobWrites,
    smallWrites,
  });
  const all = { ...Object.fromEntries(reckoned), request: of(API.request), admission: of(ADMISSION.granted) };
  expect(all, 'where a step reads or writes more or less, change functions/cost/step-use.ts').toEqual(
    real.tableCalls,
  );
});

it('enters the states that a real restore enters, as often, and counts its events', () => {
  const { entered, history } = real.restored;
  const walked = walk({ ...PLAIN_RESTORE, uploadPolls: entered.PollDownload ?? 0 });
  expect(walked.entered).toEqual(entered);
  expect(walked.events).toBe(history.length);
});

it('reckons with the reads and writes of the table that the steps of a real restore make', () => {
  const { tableCalls, entered } = real.restored;
  const steps = [...MACHINES.restore.forward, ...MACHINES.restore.cleanup].filter((name) => name in entered);
  // What a look at a download writes depends on how far it has come.
  const compared = steps.filter((name) => name !== 'PollDownload');
  const reckoned = compared.map((name) => {
    const { reads, jobWrites, smallWrites } = STEP_USE[name];
    return [name, SHORTER_IN_RESTORE[name] ?? { reads, jobWrites, smallWrites }];
  });
  expect(Object.fromEntries(compared.map((name) => [name, tableCalls[name]]))).toEqual(
    Object.fromEntries(reckoned),
  );
});

/** A step of both machines has less to do in a restore, which has no VM's lease. */
const SHORTER_IN_RESTORE: Readonly<Partial<Record<StepName, object>>> = {
  ReleaseHost: { reads: 4, jobWrites: 5, smallWrites: 2 },
};

it('reckons with the writes of the indexes that a real run makes', () => {
  expect(real.indexWrites).toBe(INDEX_WRITES);
});

it('reckons with a job record that is at least as large as it really is', () => {
  const kb = real.recordBytes.map((bytes) => Math.ceil(bytes / 1024));
  expect(kb.reduce((sum, each) => sum + each, 0) / kb.length).toBeLessThanOrEqual(JOB_RECORD_KB);
});
