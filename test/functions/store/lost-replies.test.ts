import { randomUUID } from 'node:crypto';
import { afterEach, expect, it } from 'vitest';
import type { Schedule } from '../../../functions/schedules/schedule.ts';
import { Counters } from '../../../functions/store/counters.ts';
import { Jobs } from '../../../functions/store/jobs.ts';
import { Leases } from '../../../functions/store/leases.ts';
import { Pools } from '../../../functions/store/pools.ts';
import { Runs } from '../../../functions/store/runs.ts';
import { Schedules } from '../../../functions/store/schedules.ts';
import type { Store } from '../../../functions/store.ts';
import type { FactName } from '../../../statemachine/contract.ts';
import { aJob } from '../api/a-job.ts';
import { anOutcome, later, NOW, newJob, storeOfFile } from './a-store.ts';

const parts = storeOfFile();

/** A request on its way, one object for all its tries. */
interface Sending {
  readonly request: object;
}

/** Has the reply to the first try of each write be lost once the write is done, as a broken connection does. */
function loseReplies(): () => number {
  let lost = 0;
  const middleware = (next: (args: Sending) => Promise<object>, { commandName = '' }) => {
    return async (args: Sending) => {
      const result = await next(args);
      const isFirst = !triedOnce.has(args.request);
      triedOnce.add(args.request);
      if (!isFirst || !/^(Put|Update|Delete)Item/.test(commandName)) return result;
      lost += 1;
      throw Object.assign(new Error('socket hang up'), { name: 'TimeoutError' });
    };
  };
  const place = { name: 'loseReplies', relation: 'after', toMiddleware: 'retryMiddleware' } as const;
  parts.client.middlewareStack.addRelativeTo(middleware as never, place);
  return () => lost;
}
const triedOnce = new WeakSet<object>();
afterEach(() => void parts.client.middlewareStack.remove('loseReplies'));

type Everything = Store<FactName>;
const BY = 'somebody';
const aRun = (id: string) => ({
  ...{ scheduleId: id, nominal: NOW.toISOString(), pool: 'demo', vmUuid: id, jobId: randomUUID() },
  ...{ startAfter: NOW.toISOString(), startBefore: later(60).toISOString(), backupType: 'daily', keep: 1 },
});
const aSchedule = (id: string) =>
  ({
    ...{ id, vm: 'web-1', timing: { kind: 'rate', minutes: 60 }, timeZone: 'UTC', keep: 1, quiesce: 'never' },
    ...{ enabled: true, revision: 'r', nextAt: NOW.toISOString(), backupType: 'daily' },
    ...{ createdAt: NOW.toISOString(), updatedAt: NOW.toISOString(), anchor: NOW.toISOString() },
  }) as unknown as Schedule;

/** Each write: what must be there before it, and the write, which gives what its caller is told. */
type Write = (store: Everything, id: string) => Promise<unknown>;
const ofJob = (write: Write, before: Write = async () => {}): [Write, Write] => [
  async (store, id) => {
    await newJob(store, { id, vmUuid: id });
    await before(store, id);
  },
  write,
];
const owing: Write = ({ jobs }, id) => jobs.owe(id, 'image');
const finished: Write = ({ jobs }, id) => jobs.finish(id, anOutcome);
const overAndCommitted: Write = async (store, id) => {
  await store.jobs.commit(id, NOW);
  await finished(store, id);
  await store.jobs.settle(id);
};
const ofRun = (write: Write): [Write, Write] => [
  ({ runs }, id) => runs.create(aRun(id) as never, 1e10),
  write,
];
const ofSchedule = (write: Write): [Write, Write] => [
  ({ schedules }, id) => schedules.create(aSchedule(id)),
  write,
];
const nothing: Write = async () => {};

const WRITES: Record<string, Record<string, [Write, Write]>> = {
  jobs: {
    create: [nothing, ({ jobs }, id) => jobs.create(aJob({ id, vmUuid: id }))],
    begin: ofJob(({ jobs }, id) => jobs.begin(id, 'TakeVm', 'queued', NOW)),
    beginCleanup: ofJob(({ jobs }, id) => jobs.beginCleanup(id, 'RelockVm', NOW)),
    end: ofJob(({ jobs }, id) => jobs.end(id, 5)),
    record: ofJob(({ jobs }, id) => jobs.record(id, { requeues: 1 })),
    owe: ofJob(owing),
    pay: ofJob(({ jobs }, id) => jobs.pay(id, 'image'), owing),
    sendSnapshot: ofJob(({ jobs }, id) => jobs.sendSnapshot(id, NOW)),
    commit: ofJob(({ jobs }, id) => jobs.commit(id, NOW), owing),
    commitRestore: ofJob(({ jobs }, id) => jobs.commitRestore(id), owing),
    commitTest: ofJob(({ jobs }, id) => jobs.commitTest(id, { reached: 'tools', provenAt: NOW }), owing),
    undo: ofJob(({ jobs }, id) => jobs.undo(id), overAndCommitted),
    endUndo: ofJob(({ jobs }, id) => jobs.endUndo(id, NOW)),
    noteKeptGoing: ofJob(
      ({ jobs }, id) => jobs.noteKeptGoing(id, NOW),
      ({ jobs }, id) => jobs.commit(id, NOW),
    ),
    noteKeptGone: ofJob(
      ({ jobs }, id) => jobs.noteKeptGone(id, NOW),
      ({ jobs }, id) => jobs.commit(id, NOW),
    ),
    noteImage: ofJob(
      ({ jobs }, id) => jobs.noteImage(id, NOW.toISOString()),
      ({ jobs }, id) => jobs.commit(id, NOW),
    ),
    discard: ofJob(({ jobs }, id) => jobs.discard(id)),
    close: ofJob(({ jobs }, id) => jobs.close(id)),
    cancel: ofJob(({ jobs }, id) => jobs.cancel(id, BY)),
    finish: ofJob(finished),
    warn: ofJob(({ jobs }, id) => jobs.warn(id, 'look out')),
    claim: ofJob(({ jobs }, id) => jobs.claim(id, BY, NOW, later(9))),
    unclaim: ofJob(
      ({ jobs }, id) => jobs.unclaim(id, BY),
      ({ jobs }, id) => jobs.claim(id, BY, NOW, later(9)),
    ),
    noteOwing: ofJob(({ jobs }, id) => jobs.noteOwing(id, 'away')),
    settle: ofJob(({ jobs }, id) => jobs.settle(id), finished),
    queue: ofJob(({ jobs }, id) => jobs.queue(id, { group: 'g', ticket: 't' }, {}, { first: true })),
    grant: ofJob(
      ({ jobs }, id) => jobs.grant(id, 't'),
      ({ jobs }, id) => jobs.queue(id, { group: 'g', ticket: 't' }),
    ),
  },
  leases: {
    takeVm: [nothing, ({ leases }, id) => leases.takeVm('demo', id, id, NOW)],
    releaseVm: [
      ({ leases }, id) => leases.takeVm('demo', id, id, NOW),
      ({ leases }, id) => leases.releaseVm('demo', id, id),
    ],
    takeKey: [nothing, ({ leases }, id) => leases.takeKey(id, id, NOW, 9)],
    releaseKey: [
      ({ leases }, id) => leases.takeKey(id, id, NOW, 9),
      ({ leases }, id) => leases.releaseKey(id, id),
    ],
  },
  counters: {
    take: [nothing, ({ counters }, id) => counters.take(`host#${id}`, id, 1)],
    wait: [
      ({ counters }, id) => counters.take(`host#${id}`, id, 1),
      ({ counters }, id) => counters.wait(`host#${id}`, aLine, 1),
    ],
    release: [
      async ({ counters }, id) => {
        await counters.take(`host#${id}`, id, 1);
        await counters.wait(`host#${id}`, aLine, 1);
      },
      ({ counters }, id) => counters.release(`host#${id}`, id),
    ],
    strike: [
      async ({ counters }, id) => {
        await counters.take(`host#${id}`, id, 1);
        await counters.wait(`host#${id}`, aLine, 1);
      },
      ({ counters }, id) => counters.strike(`host#${id}`, aLine),
    ],
  },
  pools: {
    unreachable: [
      ({ pools }, id) => pools.unreachable(id, 'away', NOW),
      ({ pools }, id) => pools.unreachable(id, 'away', NOW),
    ],
    reached: [({ pools }, id) => pools.unreachable(id, 'away', NOW), ({ pools }, id) => pools.reached(id)],
    keepMembers: [nothing, ({ pools }, id) => pools.keepMembers(id, { members: [], pool: id, master: 'm' })],
  },
  runs: {
    create: [nothing, ({ runs }, id) => runs.create(aRun(id) as never, 1e10)],
    trouble: ofRun(({ runs }, id) => runs.trouble(aRun(id) as never, { name: 'TimedOut', message: 'x' })),
    begin: ofRun(async ({ runs }, id) => runs.begin((await runs.get(aRun(id))) as never)),
    retry: ofRun(async ({ runs }, id) => {
      const run = await runs.get(aRun(id));
      const { problem } = (await runs.retry(run as never, BY, { name: 'TimedOut', message: 'x' })) ?? {};
      return problem;
    }),
    finish: ofRun(async ({ runs }, id) => {
      const ended = await runs.finish(aRun(id), undefined, { outcome: 'failed', finishedAt: NOW });
      return ended?.outcome;
    }),
  },
  schedules: {
    create: [nothing, ({ schedules }, id) => schedules.create(aSchedule(id))],
    replace: ofSchedule(({ schedules }, id) =>
      schedules.replace({ ...aSchedule(id), keep: 2 }, aSchedule(id), { retimed: true, retested: true }),
    ),
    remove: ofSchedule(({ schedules }, id) => schedules.remove(id)),
    claim: ofSchedule(({ schedules }, id) => schedules.claim(id, BY, NOW, later(9))),
    release: ofSchedule(async ({ schedules }, id) => {
      const claimed = await schedules.claim(id, BY, NOW, later(9));
      await schedules.release(claimed as Schedule, { nextAt: later(60).toISOString() });
    }),
    proven: ofSchedule(({ schedules }, id) => schedules.proven(id, NOW.toISOString())),
    disable: ofSchedule(({ schedules }, id) => schedules.disable(aSchedule(id), 'gone')),
  },
};

const aLine = { line: 'demo/h1', receipt: 'receipt', since: 1 };

const CLASSES = {
  jobs: Jobs,
  leases: Leases,
  counters: Counters,
  pools: Pools,
  runs: Runs,
  schedules: Schedules,
};
/** The methods that write nothing, and `takeAges`, whose item is one for all. */
const READS =
  /^(constructor|behind|get|snapshot|restore|list|listRestores|each|open|openPage|countOpen|holderOfVm|jobOfKey|holders|waiting|health|members|ofDay|begun|countBegun|all|count|due|takeAges)$/;

it('knows each write of each part of the store', () => {
  for (const [part, { prototype }] of Object.entries(CLASSES)) {
    const methods = Object.getOwnPropertyNames(prototype).filter((name) => !READS.test(name));
    expect(Object.keys(WRITES[part] ?? {}).toSorted(), part).toEqual(methods.toSorted());
  }
});

const all = Object.entries(WRITES).flatMap(([part, methods]) =>
  Object.entries(methods).map(([method, write]) => [part, method, ...write] as const),
);

it.each(all)(
  'answers and leaves the same when the reply to %s.%s is lost',
  async (part, _method, before, write) => {
    const [id, other] = [randomUUID(), randomUUID()];
    await before(parts.store, id);
    const answer = await write(parts.store, id);
    await before(parts.store, other);
    const lost = loseReplies();
    const again = await write(parts.store, other);
    expect(lost()).toBeGreaterThan(0);
    parts.client.middlewareStack.remove('loseReplies');
    const plain = (value: unknown) =>
      textOf(value)
        .replaceAll(id, '{id}')
        .replaceAll(other, '{id}')
        .replaceAll(/"jobId":"[^"]+"/g, '');
    expect(plain(again)).toEqual(plain(answer));
    expect(plain(await stateOf(parts.store, part, other))).toEqual(
      plain(await stateOf(parts.store, part, id)),
    );
  },
);

const textOf = (value: unknown) =>
  JSON.stringify(value, (_key, each) => (each instanceof Set ? [...each].sort() : each)) ?? 'undefined';

/** What is on record of this id. */
async function stateOf(store: Everything, part: string, id: string): Promise<unknown> {
  const { jobs, leases, counters, pools, runs, schedules } = store;
  if (part === 'jobs') return jobs.get(id);
  if (part === 'leases') return [await leases.holderOfVm('demo', id), await leases.jobOfKey(id, NOW)];
  if (part === 'counters') return counters.holders(`host#${id}`);
  if (part === 'pools') return [await pools.health(id), await pools.members(id)];
  return part === 'runs' ? runs.get(aRun(id)) : schedules.get(id);
}

it('refuses what another has written in the meantime, also where a reply was lost', async () => {
  const id = await newJob(parts.store);
  await parts.store.jobs.claim(id, 'another', NOW, later(9));
  const lost = loseReplies();
  expect(await parts.store.jobs.claim(id, BY, NOW, later(9))).toBeUndefined();
  expect(await parts.store.counters.take('host#full', 'a', 1)).toBe(true);
  expect(await parts.store.counters.take('host#full', 'b', 1)).toBe(false);
  expect(lost()).toBe(1);
});
