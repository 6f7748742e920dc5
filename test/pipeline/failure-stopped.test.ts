import { expect, it } from 'vitest';
import definition from '../../statemachine/snapshot.asl.json' with { type: 'json' };
import { scenario } from '../support/scenario.ts';

const states = Object.keys(definition.States);
/** A choice takes no time: whoever stops an execution in one stops it in the state that follows. */
const takesTime = (state: string) => ['Task', 'Wait'].includes(stateType(state));
const stateType = (state: string) => definition.States[state as keyof typeof definition.States].Type;
/** Not entered by a snapshot that goes well, on demand, on a VM without a chain. */
const NOT_ENTERED = [
  'RotateBackups',
  'WaitForVm',
  'WaitForCoalesce',
  'WaitToUploadAgain',
  'CancelUpload',
  'DiscardImage',
  'JobFailed',
];
const entered = states.filter((state) => takesTime(state) && !NOT_ENTERED.includes(state));
const afterCommit = states.slice(states.indexOf('DestroySnapshot'));

it('tidies up after an execution that was stopped in any of its states', async () => {
  const stopAt = new Map<string, string>();
  const stopped = Promise.withResolvers<void>();
  const { pool, glance, service, request, job } = await scenario({
    pool: { vms: entered.length, diskMib: 2 },
    slots: entered.length,
    service: {
      onState(jobId, state) {
        if (stopAt.get(jobId) !== state) return;
        void service.runtime.executions.stop({ machine: 'snapshot', id: jobId }, `stopped in ${state}`);
        if (state === 'WaitForUpload') stopped.resolve();
      },
      async aroundStep(_step, jobId, run) {
        while (!stopAt.has(jobId)) await new Promise((resolve) => setTimeout(resolve, 5));
        return run();
      },
    },
  });
  const vms = pool.vms();
  // Neither the snapshot nor the upload is to be over at the first look.
  pool.faults.add({ method: 'VM.snapshot', delaySeconds: 5 });
  const ids = await Promise.all(
    entered.map(async (state, index) => {
      const id = await request(vms[index]?.uuid ?? '');
      if (state === 'WaitForUpload')
        glance.faults.add({ method: 'PUT', path: new RegExp(id), hold: stopped.promise });
      stopAt.set(id, state);
      // The first state was entered before the job's id was known here.
      if (state === 'TakeVm')
        await service.runtime.executions.stop({ machine: 'snapshot', id }, 'stopped in TakeVm');
      return id;
    }),
  );
  await Promise.all(ids.map((id) => job(id, ({ finishedAt }) => finishedAt !== undefined)));
  await service.settled();
  await service.janitor();
  const jobs = await Promise.all(ids.map((id) => job(id)));
  const ended = jobs.map(({ status, error }, index) => ({ state: entered[index], status, error }));
  expect(ended).toEqual(
    entered.map((state) =>
      afterCommit.includes(state)
        ? { state, status: 'succeeded', error: undefined }
        : // A step that had its effect all the same may have come as far as the commit.
          state === 'VerifyImage'
          ? expect.objectContaining({ state })
          : { state, status: 'failed', error: { name: 'Interrupted', message: `stopped in ${state}` } },
    ),
  );
  const succeeded = jobs.filter(({ status }) => status === 'succeeded').length;
  expect(glance.images().map(({ status }) => status)).toEqual(Array(succeeded).fill('active'));
}, 300_000);
