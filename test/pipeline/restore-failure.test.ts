import { expect, it } from 'vitest';
import { MACHINES, type StepName } from '../../statemachine/contract.ts';
import { askRestore, restored, takeAway } from '../support/restoring.ts';
import { scenario } from '../support/scenario.ts';

// Restores into a VM that is there have tests of their own.
const forward = MACHINES.restore.forward.filter((step) => step !== 'SwapDisk');
const UNDOING: readonly StepName[] = MACHINES.restore.cleanup;
/** A test is committed by a step of its own, and its image is told. */
const TEST = { test: true };

class Broken extends Error {
  override readonly name = 'Broken';
}

/** Where a restore breaks. */
interface Break {
  readonly step: StepName;
  readonly when: 'before' | 'after';
  /** Once only: the cleanup line's steps are run again by others. */
  done?: boolean;
}

/** Restores one image once for each case at the same time, and breaks each where its case says. */
async function breakEach(cases: readonly Break[], first: readonly Break[] = []) {
  const broken = new Map<string, readonly Break[]>();
  const at = await scenario({
    pool: { vms: 1, diskMib: 2 },
    slots: cases.length,
    service: {
      async aroundStep(step, jobId, run) {
        const isSnapshot =
          (MACHINES.snapshot.forward as readonly string[]).includes(step) && step !== 'ConfirmHost';
        if (isSnapshot || (await at.service.runtime.store.jobs.snapshot(jobId))) return run();
        // A job starts before the request that made it is answered.
        while (!broken.has(jobId)) await new Promise((resolve) => setTimeout(resolve, 5));
        const breaks = (broken.get(jobId) ?? []).filter((each) => each.step === step && !each.done);
        for (const each of breaks.filter(({ when }) => when === 'before')) {
          each.done = true;
          throw new Broken(`before ${step}`);
        }
        const result = await run();
        for (const each of breaks) {
          each.done = true;
          throw new Broken(`after ${step}`);
        }
        return result;
      },
    },
  });
  const image = await at.request('web-1');
  await at.job(image);
  const ids = await Promise.all(
    cases.map(async (each) => {
      const ofTest = [...first, each].some(({ step }) => step === 'TestVm');
      const id = await askRestore(at.service, image, ofTest ? TEST : {});
      broken.set(id, [...first.map((one) => ({ ...one })), { ...each }]);
      return id;
    }),
  );
  return { ...at, ids };
}

it.each(['before', 'after'] as const)(
  'undoes everything when a step fails %s its effect, and says why',
  async (when) => {
    const { ids, service } = await breakEach(forward.map((step) => ({ step, when })));
    const jobs = await Promise.all(ids.map((id) => restored(service, id)));
    const ended = jobs.map(({ status, error }, index) => ({ step: forward[index], status, error }));
    // What is committed stays, whatever fails then.
    const kept = (step: StepName) => when === 'after' && (step === 'FinishRestore' || step === 'TestVm');
    expect(ended).toEqual(
      forward.map((step) =>
        kept(step)
          ? { step, status: 'succeeded', error: undefined }
          : { step, status: 'failed', error: { name: 'Internal', message: `${when} ${step} (Broken)` } },
      ),
    );
    for (const job of jobs) if (job.committed && !job.request.test) await takeAway(service, job);
  },
  300_000,
);

it('pays what a failed cleanup has left, and tells the outcome that it was undone for', async () => {
  const cases = UNDOING.flatMap((step) => [
    { step, when: 'before' as const },
    { step, when: 'after' as const },
  ]);
  const { ids, service } = await breakEach(cases, [{ step: 'TestVm', when: 'before' }]);
  await Promise.all(ids.map((id) => restored(service, id, ({ finishedAt }) => finishedAt !== undefined)));
  await service.settled();
  await service.janitor();
  const jobs = await Promise.all(ids.map((id) => restored(service, id)));
  expect(jobs.map(({ status, debts, error }) => [status, debts, error?.message])).toEqual(
    cases.map(() => ['failed', undefined, 'before TestVm (Broken)']),
  );
}, 300_000);

it('tidies up after an execution that was stopped in any of its states', async () => {
  const stopAt = new Map<string, string>();
  const at = await scenario({
    pool: { vms: 1, diskMib: 2 },
    slots: 20,
    service: {
      onState(id, state) {
        if (stopAt.get(id) === state)
          void at.service.runtime.executions.stop({ machine: 'restore', id }, `stopped in ${state}`);
      },
      async aroundStep(_step, jobId, run) {
        while (!stopAt.has(jobId) && !(await at.service.runtime.store.jobs.snapshot(jobId)))
          await new Promise((resolve) => setTimeout(resolve, 5));
        return run();
      },
    },
  });
  const image = await at.request('web-1');
  await at.job(image);
  const states = [...forward, 'QueueForHost', 'MarkImage', 'ReleaseHost'].filter(
    (state) => state !== 'InspectImage',
  );
  const ids = await Promise.all(
    states.map(async (state) => {
      const id = await askRestore(at.service, image, ['TestVm', 'MarkImage'].includes(state) ? TEST : {});
      stopAt.set(id, state);
      return id;
    }),
  );
  await Promise.all(ids.map((id) => restored(at.service, id, ({ finishedAt }) => finishedAt !== undefined)));
  await at.service.settled();
  await at.service.janitor();
  const jobs = await Promise.all(ids.map((id) => restored(at.service, id)));
  for (const [index, job] of jobs.entries()) {
    const state = states[index];
    if (job.committed) {
      expect(job.status, state).toBe('succeeded');
      if (!job.request.test) await takeAway(at.service, job);
    } else expect(job.error, state).toEqual({ name: 'Interrupted', message: `stopped in ${state}` });
  }
  expect(jobs.filter(({ committed }) => committed).length).toBeGreaterThan(0);
}, 300_000);
