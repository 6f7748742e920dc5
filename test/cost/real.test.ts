import { beforeAll, expect, it } from 'vitest';
import { PLAIN_JOB } from '../../functions/cost/model.ts';
import {
  ADMISSION,
  API,
  INDEX_WRITES,
  JOB_RECORD_KB,
  STEP_USE,
  WRITES_AT_LAST,
} from '../../functions/cost/step-use.ts';
import { walk } from '../../functions/cost/walk.ts';
import type { StepName } from '../../statemachine/contract.ts';
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

it('reckons with the writes of the indexes that a real run makes', () => {
  expect(real.indexWrites).toBe(INDEX_WRITES);
});

it('reckons with a job record that is at least as large as it really is', () => {
  const kb = real.recordBytes.map((bytes) => Math.ceil(bytes / 1024));
  expect(kb.reduce((sum, each) => sum + each, 0) / kb.length).toBeLessThanOrEqual(JOB_RECORD_KB);
});
