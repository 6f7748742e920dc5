import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { snapshotLabel } from '../../functions/job.ts';
import { destroySnapshot } from '../../functions/steps/DestroySnapshot.ts';
import type { Session } from '../../xapi/session.ts';
import { aJob } from '../functions/api/a-job.ts';
import { scenario } from '../support/scenario.ts';

it('destroys a snapshot that is done between the look for it and the look at its task', async () => {
  const { pool, service } = await scenario({ pool: { vms: 1, diskMib: 2 } });
  const { runtime } = service;
  const vmUuid = pool.vms()[0]?.uuid ?? '';
  const jobId = randomUUID();
  await runtime.withSession('demo', async (xapi) => {
    const vmRef = await xapi.call('VM.get_by_uuid', vmUuid);
    const sent = { snapshotSentAt: runtime.clock.now().toISOString() };
    await runtime.store.jobs.create(aJob({ id: jobId, vmUuid, vmRef, ...sent }));
    await runtime.store.jobs.owe(jobId, 'snapshot');
    await runtime.store.jobs.record(jobId, { snapshotTask: 'OpaqueRef:over' as never });
    const job = await runtime.store.jobs.snapshot(jobId);
    // By the time that the task is asked for it is over, and what it made is there.
    const forward = xapi.call as (...args: readonly unknown[]) => Promise<unknown>;
    const call = async (method: string, ...args: readonly unknown[]) => {
      if (method === 'task.get_record') {
        await xapi.call('VM.snapshot', vmRef, snapshotLabel(jobId));
        return { status: 'success' };
      }
      return forward(method, ...args);
    };
    const late = { ...xapi, call } as unknown as Session;
    if (job) await destroySnapshot({ ...runtime, job, xapi: late });
  });
  expect((await runtime.store.jobs.get(jobId))?.debts).toBeUndefined();
  await runtime.store.jobs.finish(jobId, { status: 'failed', finishedAt: new Date(), ttl: 4_000_000_000 });
  await runtime.store.jobs.settle(jobId);
});
