import { expect, it } from 'vitest';
import { reconcileEvent } from '../../functions/reconcile.ts';
import { memoryRuntime } from '../scale/memory-runtime.ts';
import { MemoryTable } from '../scale/memory-table.ts';
import { aJob } from './api/a-job.ts';

const NOW = new Date(Date.UTC(2026, 4, 5));
const HOST = 'host#demo/h1';
const SR = 'sr#demo/s1';

it('tells of the slots that were given back by a run which still owed something, once it owes nothing', async () => {
  const memory = memoryRuntime({ now: () => NOW }, new MemoryTable());
  const runtime = { ...memory, executions: { ...memory.executions, describe: async () => undefined } };
  const { jobs, counters } = runtime.store;
  const job = aJob({ status: 'running', phase: 'UnlockVm', srUuid: 's1' });
  await jobs.create(job);
  await jobs.queue(job.id, { group: 'demo/h1', ticket: 't' });
  await jobs.owe(job.id, 'relock');
  await counters.take(HOST, job.id, 1);
  await counters.wait(HOST, { line: 'demo/h1', receipt: 'receipt', since: 1 }, 1);
  const event = { detail: { name: job.id, status: 'ABORTED' } } as Parameters<typeof reconcileEvent>[0];

  // Its pool does not answer.
  await expect(reconcileEvent(event, runtime)).rejects.toMatchObject({ name: 'StillOwed' });
  expect(await counters.holders(HOST)).toEqual([]);
  await jobs.pay(job.id, 'relock');
  expect(await reconcileEvent(event, runtime)).toEqual({ wake: [HOST, SR] });
  expect(await reconcileEvent(event, runtime)).toEqual({ wake: [] });
});
