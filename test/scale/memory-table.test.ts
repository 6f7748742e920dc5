import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import fc from 'fast-check';
import { expect, it, onTestFinished } from 'vitest';
import { type PageOptions, Table } from '../../functions/store/table.ts';
import { type Store, storeIn } from '../../functions/store.ts';
import { DEBTS } from '../../functions/words.ts';
import { LOCAL_AWS } from '../../local/aws/in-process.ts';
import { startTable } from '../../local/aws/table.ts';
import { tableDefinition } from '../../local/table-definition.ts';
import type { FactName } from '../../statemachine/contract.ts';
import { aJob } from '../functions/api/a-job.ts';
import { holds } from './condition.ts';
import { MemoryTable } from './memory-table.ts';

/** Something that the store can be asked for, with all arguments chosen. */
type Operation = readonly [name: string, run: (store: Store<FactName>, world: string) => Promise<unknown>];

const time = (n: number) => new Date(Date.UTC(2026, 4, 5, 12, 0, n));
/** Few jobs, VMs and places, so that operations meet. */
const JOBS = ['a', 'b', 'c'];
const operations: fc.Arbitrary<Operation> = fc
  .record({
    job: fc.constantFrom(...JOBS),
    other: fc.constantFrom(...JOBS),
    debt: fc.constantFrom(...DEBTS),
    n: fc.integer({ min: 0, max: 5 }),
    text: fc.constantFrom('x', 'y'),
    which: fc.nat(),
  })
  .map(({ job, other, debt, n, text, which }) => {
    const place = `host#demo/${text}` as const;
    const all: Operation[] = [
      [
        `create ${job}`,
        (s, w) =>
          s.jobs.create(
            aJob({ id: w + job, vmUuid: 'vm', createdAt: time(JOBS.indexOf(job)).toISOString() }),
          ),
      ],
      [`begin ${job}`, (s, w) => s.jobs.begin(w + job, 'PollUpload', 'running', time(n))],
      [`beginCleanup ${job}`, (s, w) => s.jobs.beginCleanup(w + job, 'RelockVm', time(n))],
      [`end ${job} ${n}`, (s, w) => s.jobs.end(w + job, n)],
      [
        `record ${job}`,
        (s, w) => s.jobs.record(w + job, { secretUuid: text, bytesSent: n, sha512: undefined }),
      ],
      [`forget ${job}`, (s, w) => s.jobs.record(w + job, {}, ['snapshotSentAt', 'secretUuid'])],
      [`owe ${job} ${debt}`, (s, w) => s.jobs.owe(w + job, debt, { secretUuid: text })],
      [`pay ${job} ${debt}`, (s, w) => s.jobs.pay(w + job, debt, { bytesRead: n })],
      [`sendSnapshot ${job}`, (s, w) => s.jobs.sendSnapshot(w + job, time(n))],
      [`commit ${job}`, (s, w) => s.jobs.commit(w + job, time(n))],
      [`discard ${job}`, (s, w) => s.jobs.discard(w + job)],
      [`close ${job}`, (s, w) => s.jobs.close(w + job)],
      [`cancel ${job}`, (s, w) => s.jobs.cancel(w + job)],
      [
        `finish ${job}`,
        (s, w) =>
          s.jobs.finish(w + job, {
            status: 'failed',
            error: { name: text, message: text },
            finishedAt: time(n),
            ttl: n,
          }),
      ],
      [`warn ${job} ${text}`, (s, w) => s.jobs.warn(w + job, text)],
      [`claim ${job} ${text} ${n}`, (s, w) => s.jobs.claim(w + job, text, time(n), time(n + 2))],
      [`unclaim ${job} ${text}`, (s, w) => s.jobs.unclaim(w + job, text)],
      [`settle ${job}`, (s, w) => s.jobs.settle(w + job)],
      [
        `queue ${job} ${text}`,
        (s, w) => s.jobs.queue(w + job, { group: 'demo/h', ticket: text }, { requeues: n }),
      ],
      [`grant ${job} ${text}`, (s, w) => s.jobs.grant(w + job, text)],
      [`get ${job}`, (s, w) => s.jobs.get(w + job)],
      [`take ${place} ${job} ${n}`, (s, w) => s.counters.take(`${place}${w}`, job, n)],
      [`release ${place} ${job}`, (s, w) => s.counters.release(`${place}${w}`, job)],
      [`holders ${place}`, async (s, w) => (await s.counters.holders(`${place}${w}`)).toSorted()],
      [`takeVm ${text} ${job}`, (s, w) => s.leases.takeVm(w, text, job)],
      [`releaseVm ${text} ${job}`, (s, w) => s.leases.releaseVm(w, text, job)],
      [`takeKey ${text} ${job} ${n}`, (s, w) => s.leases.takeKey(w + text, job, time(n), 2)],
      [`jobOfKey ${text} ${n}`, (s, w) => s.leases.jobOfKey(w + text, time(n))],
      [`releaseKey ${text} ${other}`, (s, w) => s.leases.releaseKey(w + text, other)],
      [`unreachable ${text}`, (s, w) => s.pools.unreachable(w + text, text, time(n))],
      [`reached ${text}`, (s, w) => s.pools.reached(w + text)],
      [`health ${text}`, (s, w) => s.pools.health(w + text)],
    ];
    return all[which % all.length] as Operation;
  });

/** Shows all that the operations can have left. */
const LOOKS: readonly Operation[] = [
  ...JOBS.map((job): Operation => [`get ${job}`, (s, w) => s.jobs.get(w + job)]),
  ...['x', 'y'].flatMap((text): Operation[] => [
    [`holders ${text}`, async (s, w) => (await s.counters.holders(`host#demo/${text}${w}`)).toSorted()],
    [`holderOfVm ${text}`, (s, w) => s.leases.holderOfVm(w, text)],
    [`jobOfKey ${text}`, (s, w) => s.leases.jobOfKey(w + text, time(0))],
    [`health ${text}`, (s, w) => s.pools.health(w + text)],
  ]),
];

it('answers whatever the store asks as the real table does', async () => {
  const real = await realTable();
  const memory = storeIn(new MemoryTable());
  let worlds = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(operations, { minLength: 30, maxLength: 100 }), async (chosen) => {
      // Keys of its own for each run: the real table stays.
      const world = `${++worlds}-`;
      const start: Operation[] = JOBS.slice(0, 2).map((id) => [
        `create ${id}`,
        ({ jobs: all }) => all.create(aJob({ id: world + id, vmUuid: 'vm' })),
      ]);
      for (const [name, run] of [...start, ...chosen, ...LOOKS])
        expect([name, await run(memory, world)]).toEqual([name, await run(real, world)]);
    }),
    { numRuns: 40, seed: 20260505 },
  );
});

it.each<Omit<PageOptions, 'after'>>([
  { limit: 3 },
  { limit: 3, order: 'oldestFirst' },
  { limit: 2, from: time(1).toISOString(), to: time(5).toISOString() },
  { from: time(3).toISOString(), order: 'oldestFirst' },
  { to: time(3).toISOString() },
  { from: time(3).toISOString(), to: time(2).toISOString() },
])('pages through the jobs of an index as the real table does: %j', async (options) => {
  const stores = [await realTable(), storeIn(new MemoryTable())];
  const pages = await Promise.all(
    stores.map(async (store) => {
      for (let n = 0; n < 7; n++)
        await store.jobs.create(
          aJob({ id: `job-${n}`, vmUuid: 'vm', createdAt: time((n * 3) % 7).toISOString() }),
        );
      const seen: string[][] = [];
      for (let after: Record<string, unknown> | undefined, more = true; more; more = after !== undefined) {
        const page = await store.jobs.list({ vmKey: 'demo#vm' }, { ...options, ...(after && { after }) });
        seen.push(page.items.map(({ id }) => id));
        after = page.next;
      }
      return seen.filter((page) => page.length > 0);
    }),
  );
  expect(pages[1]).toEqual(pages[0]);
});

it.each([
  'size(a) > :n',
  'begins_with(a, :n)',
  '#a <> :n',
  'attribute_exists(a) attribute_exists(b)',
  '#a = b',
  '(',
])('refuses the condition "%s", which it does not know', (expression) => {
  expect(() => holds(expression, {}, {})).toThrow(expression);
});

async function realTable(): Promise<Store<FactName>> {
  const table = await startTable({ tableName: 'xensnap', definition: tableDefinition() });
  const client = new DynamoDBClient({ ...LOCAL_AWS, endpoint: table.endpoint });
  onTestFinished(async () => {
    client.destroy();
    await table.close();
  });
  return storeIn(new Table(client, 'xensnap'));
}
