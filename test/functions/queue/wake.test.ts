import { ChangeMessageVisibilityCommand } from '@aws-sdk/client-sqs';
import { beforeEach, expect, it } from 'vitest';
import { admitBatch } from '../../../functions/queue/admit.ts';
import { keepingWoken, releaseSlotOf } from '../../../functions/queue/wake.ts';
import { wakeLines } from '../../../functions/queue/wake-lines.ts';
import { later, NOW } from '../store/a-store.ts';
import {
  type Admissions,
  admissionsOfFile,
  aRecord,
  aTicket,
  DEALT_WITH,
  deliver,
  emptyPlaces,
  HOST,
  QUEUE_URL,
  S1,
  SR,
} from './an-admission.ts';

const admissions = admissionsOfFile();
const counters = () => admissions.runtime.store.counters;
const release = (counter: typeof HOST | typeof SR, job: string) =>
  releaseSlotOf(counter, job, admissions.runtime);

/** Times of hiding and of bringing back, by receipt. */
const visibilities = ({ sqs }: Admissions) =>
  sqs.commandCalls(ChangeMessageVisibilityCommand).map(({ args: [{ input }] }) => {
    expect(input.QueueUrl).toBe(QUEUE_URL);
    return [input.ReceiptHandle, input.VisibilityTimeout];
  });

beforeEach(() => emptyPlaces(admissions));

/** A message that finds its host full, in a line of its own. */
async function waiting(since: number, line = 'demo/h1', fields = {}) {
  const message = await aTicket(admissions, { group: line, ...fields });
  const record = aRecord(message);
  const sent = {
    ...record,
    attributes: { ...record.attributes, SentTimestamp: String(NOW.getTime() + since) },
  };
  const admit = () => admitBatch({ Records: [sent] }, admissions.runtime);
  expect((await admit()).batchItemFailures).toHaveLength(1);
  return { message, receipt: record.receiptHandle, admit };
}

const fill = () => Promise.all(['a', 'b'].map((job) => counters().take(HOST, job, 2)));

it('brings the head of a line back at once when a slot comes free, and only once', async () => {
  await fill();
  const { receipt, admit } = await waiting(1);
  expect(visibilities(admissions)).toEqual([[receipt, 15]]);
  await release(HOST, 'a');
  expect(visibilities(admissions).slice(1)).toEqual([[receipt, 0]]);
  expect(await admit()).toEqual(DEALT_WITH);
  await release(HOST, 'b');
  expect(visibilities(admissions)).toHaveLength(2);
});

it('wakes the line that has waited longest, and another for another slot', async () => {
  await fill();
  const late = await waiting(2000);
  const early = await waiting(1000, `demo/h1/${S1}`, { srUuid: S1 });
  await Promise.all([release(HOST, 'a'), release(HOST, 'b')]);
  const woken = visibilities(admissions).filter(([, seconds]) => seconds === 0);
  expect(woken.map(([receipt]) => receipt).sort()).toEqual([early.receipt, late.receipt].sort());
  await fill();
  await late.admit();
  await early.admit();
  await release(HOST, 'a');
  expect(visibilities(admissions).at(-1)).toEqual([early.receipt, 0]);
});

it('takes a slot that comes free while its line is being noted', async () => {
  await fill();
  const message = await aTicket(admissions);
  // Between the look for a slot and the note, nobody who gives one back could find the line.
  admissions.sqs.on(ChangeMessageVisibilityCommand).callsFake(async () => {
    await counters().release(HOST, 'a');
    return {};
  });
  expect(await deliver(admissions, message)).toEqual(DEALT_WITH);
  expect(await counters().holders(HOST)).toContain(message.jobId);
});

it('lets who waits for an SR stand in no way of the others of the host', async () => {
  await counters().take(SR, 'another', 1);
  await counters().take(HOST, 'a', 2);
  const forSr = await waiting(1, `demo/h1/${S1}`, { srUuid: S1 });
  const other = await aTicket(admissions);
  expect(await deliver(admissions, other)).toEqual(DEALT_WITH);
  await release(HOST, other.jobId);
  expect(visibilities(admissions).filter(([, seconds]) => seconds === 0)).toEqual([]);
  await release(SR, 'another');
  expect(visibilities(admissions).at(-1)).toEqual([forSr.receipt, 0]);
  expect(await forSr.admit()).toEqual(DEALT_WITH);
  expect(await counters().holders(HOST)).toEqual(expect.arrayContaining(['a', forSr.message.jobId]));
});

it('passes a slot of the host on that it took in vain, for its SR is full', async () => {
  await counters().take(SR, 'another', 1);
  await fill();
  const forSr = await waiting(1, `demo/h1/${S1}`, { srUuid: S1 });
  const other = await waiting(2);
  await release(HOST, 'a');
  expect(visibilities(admissions).at(-1)).toEqual([forSr.receipt, 0]);
  expect((await forSr.admit()).batchItemFailures).toHaveLength(1);
  expect(visibilities(admissions).at(-1)).toEqual([other.receipt, 0]);
  expect(await other.admit()).toEqual(DEALT_WITH);
});

it('passes a slot of the SR on that its line was woken for in vain, for its host is full', async () => {
  await counters().take(SR, 'another', 1);
  const [first, other] = [
    await waiting(1, `demo/h1/${S1}`, { srUuid: S1 }),
    await waiting(2, `demo/h2/${S1}`, { srUuid: S1 }),
  ];
  await fill();
  await release(SR, 'another');
  expect(visibilities(admissions).at(-1)).toEqual([first.receipt, 0]);
  expect((await first.admit()).batchItemFailures).toHaveLength(1);
  expect(visibilities(admissions).at(-1)).toEqual([other.receipt, 0]);
  expect(await other.admit()).toEqual(DEALT_WITH);
});

it('keeps the slot of its host for a line that has waited for an hour, and longest for the SR', async () => {
  await counters().take(SR, 'another', 1);
  await counters().take(HOST, 'a', 2);
  await counters().take('host#demo/h2', 'b', 2);
  const hours = (n: number) => -n * 3_600_000;
  const first = await waiting(hours(3), `demo/h1/${S1}`, { srUuid: S1 });
  const next = await waiting(hours(2), `demo/h2/${S1}`, { srUuid: S1 });
  expect(await counters().holders(HOST)).toEqual(expect.arrayContaining(['a', first.message.jobId]));
  expect(await counters().holders('host#demo/h2')).toEqual(['b']);
  await release(SR, 'another');
  expect(visibilities(admissions).at(-1)).toEqual([first.receipt, 0]);
  expect(await first.admit()).toEqual(DEALT_WITH);
  expect((await next.admit()).batchItemFailures).toHaveLength(1);
  expect(await counters().holders('host#demo/h2')).toEqual(expect.arrayContaining(['b', next.message.jobId]));
});

it('wakes nobody for an SR that is full, whatever its hosts are', async () => {
  await counters().take(SR, 'another', 1);
  await waiting(1, `demo/h2/${S1}`, { srUuid: S1 });
  await fill();
  await waiting(2, `demo/h1/${S1}`, { srUuid: S1 });
  expect(visibilities(admissions).filter(([, seconds]) => seconds === 0)).toEqual([]);
});

it.each(['MessageNotInflight', 'ReceiptHandleIsInvalid', 'InvalidParameterValue'])(
  'takes a receipt that is of no more use (%s) for a line that looks by itself',
  async (name) => {
    await fill();
    await waiting(1);
    admissions.sqs.on(ChangeMessageVisibilityCommand).rejects(Object.assign(new Error('x'), { name }));
    await release(HOST, 'a');
    expect(admissions.logs.filter(({ level }) => level === 'WARN')).toEqual([]);
  },
);

it('wakes the next line where the one that has waited longest is noted by a receipt of no more use', async () => {
  await fill();
  const [stale, next] = [await waiting(1), await waiting(2, `demo/h1/${S1}`, { srUuid: S1 })];
  admissions.sqs
    .on(ChangeMessageVisibilityCommand, { ReceiptHandle: stale.receipt })
    .rejects(Object.assign(new Error('x'), { name: 'MessageNotInflight' }));
  await release(HOST, 'a');
  expect(visibilities(admissions).at(-1)).toEqual([next.receipt, 0]);
});

it('notes a line no longer whose head has looked by itself and got a slot', async () => {
  await fill();
  const [first, other] = [await waiting(1), await waiting(2, `demo/h1/${S1}`, { srUuid: S1 })];
  // As if nobody had been woken.
  await counters().release(HOST, 'a');
  await counters().wait(HOST, { line: 'demo/h1', receipt: first.receipt, since: 1 }, 1);
  expect(await first.admit()).toEqual(DEALT_WITH);
  await release(HOST, 'b');
  expect(visibilities(admissions).at(-1)).toEqual([other.receipt, 0]);
});

it('gives the slot back where the line cannot be woken, and says so', async () => {
  await fill();
  await waiting(1);
  admissions.sqs
    .on(ChangeMessageVisibilityCommand)
    .rejects(Object.assign(new Error('x'), { name: 'ServiceUnavailable' }));
  await release(HOST, 'a');
  expect(await counters().holders(HOST)).toEqual(['b']);
  expect(admissions.logs).toMatchObject([{ message: expect.stringContaining('could not be woken') }]);
});

it('hides a line whose pool is paused until then, and tells how long its head has waited', async () => {
  const message = await aTicket(admissions);
  for (let n = 0; n < 3; n++) await admissions.runtime.store.pools.unreachable('demo', 'away', later(7));
  const record = aRecord(message);
  const sent = {
    ...record,
    attributes: { ...record.attributes, SentTimestamp: String(NOW.getTime() - 90_000) },
  };
  await admitBatch({ Records: [sent] }, admissions.runtime);
  expect(visibilities(admissions)).toEqual([[record.receiptHandle, 7]]);
  expect(admissions.measured).toMatchObject([{ name: 'WaitedSeconds', value: 90 }]);
});

it('names a line for each counter: none is taken for another', async () => {
  await counters().take(HOST, 'a', 1);
  const line = (name: string, since: number) => ({ line: name, receipt: `receipt of ${name}`, since });
  expect(await counters().wait(HOST, line('demo/h1', 5), 1)).toBe(true);
  expect(await counters().wait(HOST, line('demo/h1', 6), 1)).toBe(true);
  expect(await counters().wait(HOST, line('demo/h1/s', 7), 1)).toBe(true);
  expect(await counters().wait(SR, line('demo/h1', 1), 1)).toBe(false);
  expect(await counters().waiting(HOST)).toEqual([line('demo/h1', 6), line('demo/h1/s', 7)]);
  expect(await counters().strike(HOST, line('demo/h1', 5))).toBe(false);
  expect(await counters().strike(HOST, line('demo/h1', 6))).toBe(true);
  expect(await counters().strike(HOST, line('demo/h1', 6))).toBe(false);
  expect(await counters().waiting(HOST)).toEqual([line('demo/h1/s', 7)]);
});

it('leaves a line noted where the queue is not in reach, for whoever gives the next slot back', async () => {
  await fill();
  const { receipt } = await waiting(1);
  await releaseSlotOf(HOST, 'a', { ...admissions.runtime, wake: async () => {} });
  await release(HOST, 'b');
  expect(visibilities(admissions).at(-1)).toEqual([receipt, 0]);
});

it('wakes for a function in the VPC, once that has answered, a line for each slot that it gave back', async () => {
  await fill();
  const stale = await waiting(1);
  const next = await waiting(2, `demo/h1/${S1}`, { srUuid: S1 });
  const { runtime, woken } = keepingWoken(admissions.runtime);
  await releaseSlotOf(HOST, 'a', runtime);
  expect(visibilities(admissions).filter(([, seconds]) => seconds === 0)).toEqual([]);
  expect(woken).toEqual({ wake: [HOST] });
  admissions.sqs
    .on(ChangeMessageVisibilityCommand, { ReceiptHandle: stale.receipt })
    .rejects(Object.assign(new Error('x'), { name: 'MessageNotInflight' }));
  await wakeLines(woken.wake, admissions.runtime);
  expect(visibilities(admissions).at(-1)).toEqual([next.receipt, 0]);
  // Lambda may hand an answer on twice.
  await wakeLines(woken.wake, admissions.runtime);
  expect(visibilities(admissions).filter(([, seconds]) => seconds === 0)).toHaveLength(2);
});
