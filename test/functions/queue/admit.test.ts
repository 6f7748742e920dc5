import { InvalidToken, SendTaskSuccessCommand, TaskDoesNotExist, TaskTimedOut } from '@aws-sdk/client-sfn';
import { ChangeMessageVisibilityCommand } from '@aws-sdk/client-sqs';
import { beforeEach, expect, it } from 'vitest';
import { admitBatch } from '../../../functions/queue/admit.ts';
import type { Jobs } from '../../../functions/store/jobs.ts';
import type { FactName } from '../../../statemachine/contract.ts';
import { anOutcome, later, NOW } from '../store/a-store.ts';
import {
  admissionsOfFile,
  aRecord,
  aTicket,
  DEALT_WITH,
  deliver,
  emptyPlaces,
  HOST,
  QUEUE_URL,
  S1,
  SINGLE,
  SR,
} from './an-admission.ts';

const admissions = admissionsOfFile();
const store = () => admissions.runtime.store;

beforeEach(() => emptyPlaces(admissions));

it('grants a free slot: the job is in the set, its ticket granted, its execution woken', async () => {
  const message = await aTicket(admissions);
  expect(await deliver(admissions, message)).toEqual(DEALT_WITH);
  expect(await store().counters.holders(HOST)).toEqual([message.jobId]);
  expect(await store().jobs.get(message.jobId)).toMatchObject({ ticketState: 'granted' });
  expect(admissions.sfn).toHaveReceivedCommandExactlyOnceWith(SendTaskSuccessCommand, {
    taskToken: message.taskToken,
    output: '{}',
  });
  expect(admissions.sqs).not.toHaveReceivedCommand(ChangeMessageVisibilityCommand);
});

it('puts a message of a full host back for the configured seconds, and all that follow it in the batch', async () => {
  const [a, b, c, d] = [
    await aTicket(admissions),
    await aTicket(admissions),
    await aTicket(admissions),
    await aTicket(admissions),
  ];
  const records = [a, b, c, d].map(aRecord);
  const answer = await admitBatch({ Records: records }, admissions.runtime);
  expect(answer.batchItemFailures).toEqual(
    records.slice(2).map(({ messageId }) => ({ itemIdentifier: messageId })),
  );
  expect(admissions.sqs).toHaveReceivedCommandExactlyOnceWith(ChangeMessageVisibilityCommand, {
    QueueUrl: QUEUE_URL,
    ReceiptHandle: records[2]?.receiptHandle ?? '',
    VisibilityTimeout: 15,
  });
  expect(admissions.sfn).toHaveReceivedCommandTimes(SendTaskSuccessCommand, 2);
  expect(await store().jobs.get(c.jobId)).toMatchObject({ ticketState: 'waiting' });
  expect((await store().counters.holders(HOST)).toSorted()).toEqual([a.jobId, b.jobId].toSorted());
});

it('heeds a limit of that host alone', async () => {
  const [a, b] = [
    await aTicket(admissions, { group: `demo/${SINGLE}` }),
    await aTicket(admissions, { group: `demo/${SINGLE}` }),
  ];
  expect(await deliver(admissions, a)).toEqual(DEALT_WITH);
  expect((await deliver(admissions, b)).batchItemFailures).toHaveLength(1);
});

it('heeds a limit of the SR, over all hosts, and keeps no slot of the host for a job that waits for it', async () => {
  const [a, b] = [
    await aTicket(admissions, { srUuid: S1 }),
    await aTicket(admissions, { srUuid: S1, group: 'demo/h2' }),
  ];
  expect(await deliver(admissions, a)).toEqual(DEALT_WITH);
  expect((await deliver(admissions, b)).batchItemFailures).toHaveLength(1);
  expect(await store().counters.holders(SR)).toEqual([a.jobId]);
  expect(await store().counters.holders('host#demo/h2')).toEqual([]);
  await store().counters.release(SR, a.jobId);
  expect(await deliver(admissions, b)).toEqual(DEALT_WITH);
});

it('lets a line wait while its pool is paused, and no longer', async () => {
  const message = await aTicket(admissions);
  for (let n = 0; n < 3; n++) await store().pools.unreachable('demo', 'away', later(60));
  expect((await deliver(admissions, message)).batchItemFailures).toHaveLength(1);
  expect(await store().counters.holders(HOST)).toEqual([]);
  await store().pools.unreachable('demo', 'away', NOW);
  expect(await deliver(admissions, message)).toEqual(DEALT_WITH);
  expect(await store().counters.holders(HOST)).toEqual([message.jobId]);
});

it.each<[string, (jobs: Jobs<FactName>, id: string) => Promise<unknown>]>([
  ['closing', (jobs, id) => jobs.close(id)],
  ['finished', (jobs, id) => jobs.finish(id, anOutcome)],
  ['in another line', (jobs, id) => jobs.queue(id, { group: 'demo/h2', ticket: 'another' })],
  ['in the same line with another ticket', (jobs, id) => jobs.queue(id, { group: 'demo/h1', ticket: 'x' })],
])(
  'drops the ticket of a job that is %s, with the slots that a crash may have left it, and wakes who waits for it',
  async (_what, end) => {
    const message = await aTicket(admissions, { srUuid: S1 });
    await store().counters.take(HOST, message.jobId, 2);
    await store().counters.take(SR, message.jobId, 1);
    await end(store().jobs, message.jobId);
    expect(await deliver(admissions, message)).toEqual(DEALT_WITH);
    expect(await store().counters.holders(HOST)).toEqual([]);
    expect(await store().counters.holders(SR)).toEqual([]);
    expect(admissions.sfn).toHaveReceivedCommandExactlyOnceWith(SendTaskSuccessCommand, {
      taskToken: message.taskToken,
      output: '{}',
    });
  },
);

it('leaves a job what its newer ticket was granted when an older one comes again', async () => {
  const old = await aTicket(admissions, { srUuid: S1 });
  await deliver(admissions, old);
  const next = { ...old, group: 'demo/h2', ticket: 'next', taskToken: 'next' };
  await store().counters.release(HOST, old.jobId);
  await store().jobs.queue(old.jobId, { group: next.group, ticket: next.ticket });
  await deliver(admissions, next);
  await deliver(admissions, old);
  expect(await store().counters.holders(HOST)).toEqual([]);
  expect(await store().counters.holders('host#demo/h2')).toEqual([old.jobId]);
  expect(await store().counters.holders(SR)).toEqual([old.jobId]);
});

it('drops the ticket of a job that nobody knows', async () => {
  const message = { jobId: 'nobody', ticket: 't', group: 'demo/h1', taskToken: 'x' };
  await store().counters.take(HOST, 'nobody', 2);
  expect(await deliver(admissions, message)).toEqual(DEALT_WITH);
  expect(await store().counters.holders(HOST)).toEqual([]);
});

it('takes a job out again that is closed between the slot and the grant', async () => {
  const message = await aTicket(admissions, { srUuid: S1 });
  const { counters, jobs, ...rest } = store();
  const closing = {
    release: counters.release.bind(counters),
    holders: counters.holders.bind(counters),
    async take(...args: Parameters<typeof counters.take>) {
      const taken = await counters.take(...args);
      await jobs.close(message.jobId);
      return taken;
    },
  } as typeof counters;
  const runtime = { ...admissions.runtime, store: { ...rest, jobs, counters: closing } };
  expect(await admitBatch({ Records: [aRecord(message)] }, runtime)).toEqual(DEALT_WITH);
  expect(await counters.holders(HOST)).toEqual([]);
  expect(await counters.holders(SR)).toEqual([]);
  expect(admissions.sfn).toHaveReceivedCommandTimes(SendTaskSuccessCommand, 1);
});

it('sends the token again when a granted message is delivered again, even where the host is full', async () => {
  const [a, b] = [await aTicket(admissions), await aTicket(admissions)];
  await deliver(admissions, a, b);
  expect(await deliver(admissions, a)).toEqual(DEALT_WITH);
  expect(admissions.sfn).toHaveReceivedCommandTimes(SendTaskSuccessCommand, 3);
  expect(admissions.sfn).toHaveReceivedLastCommandWith(SendTaskSuccessCommand, { taskToken: a.taskToken });
  expect(await store().counters.holders(HOST)).toHaveLength(2);
});

const ofSdk = { message: 'x', $metadata: {} };

it.each([new TaskTimedOut(ofSdk), new TaskDoesNotExist(ofSdk), new InvalidToken(ofSdk)])(
  'acknowledges a message whose token is dead ($name), and keeps the slot for the job to give back',
  async (error) => {
    admissions.sfn.on(SendTaskSuccessCommand).rejects(error);
    const message = await aTicket(admissions);
    expect(await deliver(admissions, message)).toEqual(DEALT_WITH);
    expect(await store().counters.holders(HOST)).toEqual([message.jobId]);
  },
);

it('fails on any other error, so that the message comes again', async () => {
  const throttled = Object.assign(new Error('slow down'), { name: 'ThrottlingException' });
  admissions.sfn.on(SendTaskSuccessCommand).rejectsOnce(throttled).resolves({});
  const message = await aTicket(admissions);
  await expect(deliver(admissions, message)).rejects.toMatchObject({ name: 'ThrottlingException' });
  expect(await deliver(admissions, message)).toEqual(DEALT_WITH);
  expect(admissions.sfn).toHaveReceivedCommandTimes(SendTaskSuccessCommand, 2);
});

it('fails when it cannot put a message back, which then returns after the time of the queue, and takes no slot', async () => {
  await store().counters.take(HOST, 'another', 2);
  await store().counters.take(HOST, 'a third', 2);
  const message = await aTicket(admissions);
  const gone = Object.assign(new Error('x'), { name: 'MessageNotInflight' });
  admissions.sqs.on(ChangeMessageVisibilityCommand).rejectsOnce(gone).resolves({});
  await expect(deliver(admissions, message)).rejects.toMatchObject({ name: 'MessageNotInflight' });
  expect((await deliver(admissions, message)).batchItemFailures).toHaveLength(1);
  expect(await store().jobs.get(message.jobId)).toMatchObject({ ticketState: 'waiting' });
  expect(await store().counters.holders(HOST)).not.toContain(message.jobId);
});

it('keeps the slot when the table fails before the grant, and grants it when the message comes again', async () => {
  const message = await aTicket(admissions);
  const { jobs, ...rest } = store();
  const throttled = Object.assign(new Error('slow down'), { name: 'ThrottlingException' });
  const failing = {
    get: jobs.get.bind(jobs),
    grant: () => Promise.reject(throttled),
  } as unknown as Jobs<FactName>;
  const runtime = { ...admissions.runtime, store: { ...rest, jobs: failing } };
  await expect(admitBatch({ Records: [aRecord(message)] }, runtime)).rejects.toBe(throttled);
  expect(admissions.sfn).not.toHaveReceivedAnyCommand();
  expect(await deliver(admissions, message)).toEqual(DEALT_WITH);
  expect(await store().counters.holders(HOST)).toEqual([message.jobId]);
  expect(admissions.sfn).toHaveReceivedCommandTimes(SendTaskSuccessCommand, 1);
});

it.each([
  ['not JSON', 'hello'],
  ['no object', '7'],
  ['a field missing', { jobId: 'j', ticket: 't', group: 'demo/h1' }],
  ['a field of another type', { jobId: 'j', ticket: 1, group: 'demo/h1', taskToken: 'x' }],
  ['a group that is no pool and host', { jobId: 'j', ticket: 't', group: 'demo', taskToken: 'x' }],
])('deletes a malformed message (%s) and logs that as an error, without its body', async (_what, body) => {
  const good = await aTicket(admissions);
  expect(await deliver(admissions, body, good)).toEqual(DEALT_WITH);
  expect(admissions.logs.filter(({ level }) => level === 'ERROR')).toMatchObject([
    { message: 'malformed message in the host queue, deleted' },
  ]);
  expect(JSON.stringify(admissions.logs)).not.toContain('taskToken');
  expect(admissions.measured.map(({ name }) => name)).toEqual([
    'MalformedMessage',
    'WaitedSeconds',
    'SlotsTaken',
  ]);
  expect(await store().jobs.get(good.jobId)).toMatchObject({ ticketState: 'granted' });
});

it('lets no more than the limit in when many lines are served at once', async () => {
  const messages = await Promise.all(Array.from({ length: 12 }, () => aTicket(admissions)));
  const answers = await Promise.all(messages.map((message) => deliver(admissions, message)));
  expect(answers.filter(({ batchItemFailures }) => batchItemFailures.length === 0)).toHaveLength(2);
  expect(await store().counters.holders(HOST)).toHaveLength(2);
  expect(admissions.sfn).toHaveReceivedCommandTimes(SendTaskSuccessCommand, 2);
});
