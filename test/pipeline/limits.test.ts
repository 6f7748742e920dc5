import { expect, it } from 'vitest';
import { type Scenario, scenario } from '../support/scenario.ts';

/** The clock runs ten times as fast, limits five times: a step's minute is 12 seconds, a call's 24 s are 4.8. */
const inHaste = (more: Parameters<typeof scenario>[0] = {}) =>
  scenario({
    ...more,
    speed: 10,
    pool: { vms: 1, diskMib: 2, ...more.pool },
    service: { limitSpeed: 5, ...more.service },
  });

const vmOf = ({ pool }: Scenario) => pool.vms()[0]?.uuid ?? '';
const scansOf = ({ pool }: Scenario) => pool.calls.filter(({ method }) => method === 'SR.scan');

it('ends well although an SR.scan takes longer than its step may', async () => {
  const all = await inHaste();
  all.pool.faults.add({ method: 'SR.scan', times: 1, delaySeconds: 260 });
  const done = await all.job(await all.request(vmOf(all)));
  expect(done).toMatchObject({ status: 'succeeded' });
  // It is a nudge, and not repeated: the next would wait behind it for sm's lock.
  expect(scansOf(all)).toHaveLength(1);
  expect(done.warnings).toEqual([expect.stringMatching(/could not be scanned.*no answer to SR\.scan/)]);
});

it('notes a host that hangs as a lost reply, well before the step’s own end, and goes on when it answers', async () => {
  const hanging = Promise.withResolvers<void>();
  const tries: { step: string; error: string | undefined; seconds: number }[] = [];
  const all = await inHaste({
    service: {
      async aroundStep(step, _jobId, run) {
        const began = performance.now();
        let error: string | undefined;
        try {
          return await run();
        } catch (thrown) {
          error = (thrown as Error).name;
          hanging.resolve();
          throw thrown;
        } finally {
          if (error) tries.push({ step, error, seconds: ((performance.now() - began) / 1000) * 5 });
        }
      },
    },
  });
  all.pool.faults.add({ method: 'host.call_plugin', times: 1, hold: hanging.promise });
  const done = await all.job(await all.request(vmOf(all)));
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(tries[0]).toMatchObject({ step: 'InspectVm', error: 'XapiReplyLost' });
  expect(tries[0]?.seconds).toBeGreaterThanOrEqual(23.9);
  expect(tries[0]?.seconds).toBeLessThan(50);
});

it('tries a step again that Lambda ended', async () => {
  let calls = 0;
  const never = Promise.withResolvers<never>();
  const all = await inHaste({
    service: {
      aroundStep: async (step, _jobId, run) => {
        if (step !== 'PollSnapshot') return run();
        calls += 1;
        return calls === 1 ? never.promise : run();
      },
    },
  });
  const done = await all.job(await all.request(vmOf(all)));
  expect(done).toMatchObject({ status: 'succeeded' });
  expect(calls).toBeGreaterThan(1);
  never.reject(new Error('nobody listens any more'));
});

it('calls the failure of a step that Lambda ends again and again by a name that is documented', async () => {
  const all = await inHaste({
    service: {
      limitSpeed: 10,
      aroundStep: async (step, _jobId, run) =>
        step === 'TakeVm' ? new Promise((resolve) => setTimeout(resolve, 60_000).unref()) : run(),
    },
  });
  const done = await all.job(await all.request(vmOf(all)));
  expect(done).toMatchObject({ status: 'failed', error: { name: 'TimedOut' } });
});
