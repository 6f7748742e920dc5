import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { SFNClient } from '@aws-sdk/client-sfn';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { afterEach, expect, it, vi } from 'vitest';
import { requestSnapshot } from '../../functions/request.ts';
import type { Run } from '../../functions/schedules/run.ts';
import { saveSchedule } from '../../functions/schedules/save.ts';
import { tick } from '../../functions/schedules.ts';
import type { LocalService } from '../../local/service.ts';
import { scenario } from '../support/scenario.ts';

afterEach(() => vi.restoreAllMocks());

/** How many more writes a process lives for: a read leaves nothing that the next would not find as it was. */
const living = new AsyncLocalStorage<{ left: number; asked: string[] }>();

/** From then on nothing of what is done in `living` goes on or ends. */
function dieAfterSoMany(died: () => void, others: Promise<void>): void {
  for (const client of [DynamoDBDocumentClient, SFNClient]) {
    const prototype = client.prototype as { send(...args: unknown[]): Promise<unknown> };
    const { send } = prototype;
    vi.spyOn(prototype, 'send').mockImplementation(async function (this: unknown, ...args) {
      const life = living.getStore();
      // What else the service does by itself waits, so that it is not the first.
      if (!life) await others;
      if (!life) return send.apply(this, args);
      const command = (args[0] as object).constructor.name;
      if (/^(Get|BatchGet|Query)/.test(command)) return send.apply(this, args);
      if (life.left-- <= 0) {
        died();
        return new Promise(() => {});
      }
      life.asked.push(command);
      return send.apply(this, args);
    });
  }
}

const HOUR = 3_600_000;

/** A service whose executions come to nothing: they are in the memory of a process that is to die. */
const mortal = () =>
  scenario({
    restarts: true,
    pool: { vms: 1, diskMib: 2 },
    speed: 100,
    service: { aroundStep: () => new Promise(() => {}) },
  });

async function runsOf({ runtime }: LocalService, now: number, id: string): Promise<Run[]> {
  const found: Run[] = [];
  for (const day of [-1, 0, 1])
    for await (const run of runtime.store.runs.ofDay(
      new Date(now + day * 24 * HOUR).toISOString().slice(0, 10),
    ))
      if (run.scheduleId === id) found.push(run);
  return found;
}

/** Kills a process after so many writes in `work`; false when it came to its end before. */
async function killedAt(
  left: number,
  work: () => Promise<unknown>,
  prepare: () => Promise<unknown> = async () => {},
): Promise<{ killed: boolean; last: string }> {
  const dead = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  dieAfterSoMany(dead.resolve, over.promise);
  await living.run({ left: Number.POSITIVE_INFINITY, asked: [] }, prepare);
  const life = { left, asked: [] as string[] };
  const killed = await Promise.race([
    living.run(life, work).then(
      () => false,
      () => false,
    ),
    dead.promise.then(() => true),
  ]);
  vi.restoreAllMocks();
  over.resolve();
  return { killed, last: life.asked.at(-1) ?? '' };
}

it('makes one backup in its window although the look at the schedules is killed anywhere between claim and execution', async () => {
  const seen: string[] = [];
  for (let writes = 1; ; writes++) {
    const all = await mortal();
    const now = () => all.clock.now().getTime();
    const { runtime } = all.service;
    const id = randomUUID();
    const save = () =>
      saveSchedule(
        id,
        { timing: { rate: '4 hours' }, keep: 3, backupType: 'x', vm: all.pool.vms()[0]?.uuid ?? '' },
        { ...runtime, clock: { now: () => new Date(now() - 4 * HOUR - 60_000) } },
      );
    const { killed, last } = await killedAt(writes, () => tick(runtime), save);
    seen.push(last);
    const service = await all.restart();
    for (;;) {
      await service.tick();
      const runs = await runsOf(service, now(), id);
      if (runs.length > 0 && runs.every(({ outcome }) => outcome !== undefined)) break;
      await all.clock.sleep(10);
    }
    const runs = await runsOf(service, now(), id);
    const what = `after ${writes} writes, the last ${last}`;
    expect(
      runs.map(({ outcome, reason }) => [outcome, reason]),
      what,
    ).toEqual([['succeeded', undefined]]);
    const images = all.glance.images().filter(({ status }) => status === 'active');
    expect(images, what).toHaveLength(1);
    expect(all.glance.images(), what).toHaveLength(1);
    expect(await all.leftBehind(), what).toEqual([]);
    if (!killed) break;
  }
  // The claim, the run, the job, the execution, and what lies between.
  expect(seen.length).toBeGreaterThan(6);
  expect(seen).toContain('StartExecutionCommand');
}, 600_000);

it('tells the truth of a killed run whose window is over', async () => {
  const all = await mortal();
  const { runtime } = all.service;
  const now = () => all.clock.now().getTime();
  const id = randomUUID();
  const save = () =>
    saveSchedule(
      id,
      { timing: { rate: '4 hours' }, keep: 3, backupType: 'x', vm: all.pool.vms()[0]?.uuid ?? '' },
      { ...runtime, clock: { now: () => new Date(now() - 4 * HOUR - 60_000) } },
    );
  await killedAt(100, () => tick(runtime), save);
  const service = await all.restart();
  const late = { ...service.runtime, clock: { now: () => new Date(now() + 2 * HOUR) } };
  const open = await runsOf(service, now(), id);
  expect(open).toMatchObject([{ jobId: expect.any(String) }]);
  expect(open[0]?.outcome).toBeUndefined();
  await tick(late);
  expect(await runsOf(service, now(), id)).toMatchObject([
    { outcome: 'failed', reason: { name: 'Interrupted' } },
  ]);
});

it('leaves of a request that is killed anywhere before its execution a job that says so, or none, and a free VM', async () => {
  for (let writes = 1; ; writes++) {
    const all = await mortal();
    const vm = all.pool.vms()[0]?.uuid ?? '';
    const jobId = randomUUID();
    const { killed, last } = await killedAt(writes, () =>
      requestSnapshot({ vm, jobId, idempotency: { key: 'k', request: 'r' } }, all.service.runtime),
    );
    const service = await all.restart();
    const what = `after ${writes} writes, the last ${last}`;
    const job = await service.runtime.store.jobs.get(jobId);
    if (job) expect(job, what).toMatchObject({ status: 'failed', error: { name: 'Interrupted' } });
    expect(all.glance.images(), what).toEqual([]);
    expect(await all.leftBehind(), what).toEqual([]);
    if (!killed) break;
  }
}, 600_000);
