import { expect, it } from 'vitest';
import { MACHINES, type StepName } from '../../statemachine/contract.ts';
import { scenario } from '../support/scenario.ts';

const steps: readonly StepName[] = [...MACHINES.snapshot.forward, ...MACHINES.snapshot.cleanup];
const cleanup: readonly StepName[] = ['DestroySnapshot', 'RelockVm', 'ReleaseHost'];
/** Passed only after a failure. */
const undoing: readonly StepName[] = ['CancelUpload', 'DiscardImage'];
/** Passed by backups only, and after the commit; see backup.test.ts. */
const rotating: readonly StepName[] = ['RotateBackups'];
const aside = [...cleanup, ...undoing, ...rotating];
const forward = steps.filter((name) => !aside.includes(name));

class Broken extends Error {
  override readonly name = 'Broken';
}

/** Runs one job for each case at the same time, each on a VM of its own, and breaks each where its case says. */
async function breakEach(cases: readonly { step: StepName; when: 'before' | 'after' }[]) {
  const broken = new Map<string, (typeof cases)[number]>();
  const all = await scenario({
    pool: { vms: cases.length, diskMib: 2 },
    slots: cases.length,
    service: {
      async aroundStep(step, jobId, run) {
        // A job starts before the request that made it is answered.
        while (!broken.has(jobId)) await new Promise((resolve) => setTimeout(resolve, 5));
        const { step: at, when } = broken.get(jobId) ?? { step: '', when: 'before' };
        if (step === at && when === 'before') throw new Broken(`before ${step}`);
        const result = await run();
        if (step === at) throw new Broken(`after ${step}`);
        return result;
      },
    },
  });
  const vms = all.pool.vms();
  const ids = await Promise.all(
    cases.map(async (each, index) => {
      const id = await all.request(vms[index]?.uuid ?? '');
      broken.set(id, each);
      return id;
    }),
  );
  return { ...all, ids };
}

it.each(['before', 'after'] as const)(
  'undoes everything when a step fails %s its effect, and says why',
  async (when) => {
    const cases = forward.map((step) => ({ step, when }));
    const { ids, job, glance } = await breakEach(cases);
    const jobs = await Promise.all(ids.map((id) => job(id)));
    const ended = jobs.map(({ status, error }, index) => ({ step: cases[index]?.step, status, error }));
    // What is verified and committed stays, whatever fails then.
    const kept = (step: StepName) => when === 'after' && step === 'VerifyImage';
    expect(ended).toEqual(
      forward.map((step) =>
        kept(step)
          ? { step, status: 'succeeded', error: undefined }
          : { step, status: 'failed', error: { name: 'Internal', message: `${when} ${step} (Broken)` } },
      ),
    );
    expect(glance.images()).toHaveLength(when === 'after' ? 1 : 0);
  },
  300_000,
);

it('keeps a committed image when the cleanup fails, warns, and pays what is owed later', async () => {
  const cases = cleanup.flatMap((step) => [
    { step, when: 'before' as const },
    { step, when: 'after' as const },
  ]);
  const { ids, job, glance, service } = await breakEach(cases);
  const told = await Promise.all(ids.map((id) => job(id, ({ finishedAt }) => finishedAt !== undefined)));
  expect(told.map(({ status }) => status)).toEqual(cases.map(() => 'succeeded'));
  await service.settled();
  await service.janitor();
  const settled = await Promise.all(ids.map((id) => job(id)));
  expect(settled.map(({ debts }) => debts)).toEqual(cases.map(() => undefined));
  const warned = settled.filter(({ warnings = [] }) => warnings.length > 0);
  expect(warned.map(({ warnings }) => warnings?.[0])).toEqual([
    expect.stringMatching(/^Not tidied up yet \(snapshot\): before DestroySnapshot/),
    expect.stringMatching(/^Not tidied up yet \(relock\): before RelockVm/),
  ]);
  // And once it is paid, the same job says so.
  const until = /^Tidied up at 2.*Z: nothing is owed any more\.$/;
  expect(warned.map(({ warnings }) => warnings?.slice(1))).toEqual(
    warned.map(() => [expect.stringMatching(until)]),
  );
  expect(glance.images().filter(({ status }) => status === 'active')).toHaveLength(cases.length);
}, 300_000);

it('tells what a job failed of although the step that tells the outcome fails, too', async () => {
  const { pool, glance, job, request, service } = await scenario({
    pool: { vms: 1, diskMib: 2 },
    service: {
      async aroundStep(step, _jobId, run) {
        if (step === 'ReleaseHost') throw new Broken('before ReleaseHost');
        return run();
      },
    },
  });
  glance.faults.add({ method: 'PUT', path: /\/file$/, status: 413, times: 9 });
  const done = await job(await request(pool.vms()[0]?.uuid ?? ''));
  expect(done).toMatchObject({ status: 'failed', error: { name: 'GlanceTooLarge' } });
  await service.settled();
});
