import { randomUUID } from 'node:crypto';
import type { SendTaskSuccessCommand, SFNClient } from '@aws-sdk/client-sfn';
import type { ChangeMessageVisibilityCommand, SQSClient } from '@aws-sdk/client-sqs';
import { expect, it } from 'vitest';
import { admit } from '../../functions/queue/admit.ts';
import { releaseSlotOf, wakeFirst } from '../../functions/queue/wake.ts';
import type { WholeRuntime } from '../../functions/runtime.ts';
import { type CounterKey, lineOf, slotsOfHost, slotsOfSr } from '../../functions/store/counters.ts';
import { aJob } from '../functions/api/a-job.ts';
import { HostQueue } from './host-queue.ts';
import { memoryRuntime } from './memory-runtime.ts';
import { MemoryTable } from './memory-table.ts';
import { randomOf } from './random.ts';
import { Timeline } from './timeline.ts';

const HOSTS = ['h1', 'h2', 'h3', 'h4', 'h5', 'h6'];
const SRS = Array.from({ length: 3 }, () => randomUUID());
const [S1 = ''] = SRS;
const FREE_SR = 'without a limit';
const JOBS = 300;
/** Slots of each host, and of each SR. */
const SLOTS = 2;
const CONSUMERS = { concurrency: 10, consumeSeconds: 0.1 };

interface Upload {
  readonly host: string;
  /** Where the disk is. */
  readonly sr: string;
  /** When it is asked for, and how long it takes. */
  readonly at: number;
  readonly seconds: number;
}

type Job = Upload & { readonly line: string; state: 'asked' | 'waits' | 'runs' | 'over'; granted: number };

/**
 * Brings uploads through. Answers when each began, and how many seconds, at the most, one waited while its host and its
 * SR had a slot free.
 */
async function play(asked: readonly Upload[]): Promise<{ longestIdle: number; begun: readonly number[] }> {
  const time = new Timeline();
  const uploads = new Map<string, Job>();
  const srSlots = Object.fromEntries(SRS.map((sr) => [sr, SLOTS]));
  const runtime: WholeRuntime = {
    ...memoryRuntime(time, new MemoryTable(), { slotsPerHost: SLOTS, srSlots }),
    sfn: {
      send: async ({ input }: SendTaskSuccessCommand) => begin(input.taskToken ?? ''),
    } as unknown as SFNClient,
    wake: (slots, waiting) =>
      wakeFirst(slots, waiting, { counters: store.counters, log: runtime.log, sqs, queueUrl: 'scale' }),
  };
  const { store } = runtime;
  const queue = new HostQueue(
    time,
    CONSUMERS,
    async (message, held) => (await admit(message, held, runtime)) !== 'wait',
  );
  const sqs = {
    send: async ({ input }: ChangeMessageVisibilityCommand) => queue.wake(input.ReceiptHandle ?? ''),
  } as unknown as SQSClient;

  const running = new Map<string, number>();
  // A line in its turn keeps its host's slot while it waits for its SR.
  const isFull = async (slots: CounterKey) => (await store.counters.holders(slots)).length >= SLOTS;
  const change = ({ host, sr }: Job, by: number) => {
    for (const place of [host, sr]) running.set(place, (running.get(place) ?? 0) + by);
    if ([host, sr].some((place) => place !== FREE_SR && (running.get(place) ?? 0) > SLOTS))
      throw new Error('more jobs run than there are slots');
  };
  const begin = (jobId: string) => {
    const upload = uploads.get(jobId) as Job;
    upload.state = 'runs';
    upload.granted = time.seconds;
    change(upload, 1);
    time.in(upload.seconds, async () => {
      upload.state = 'over';
      change(upload, -1);
      await releaseSlotOf(slotsOfSr('demo', upload.sr), jobId, runtime);
      await releaseSlotOf(slotsOfHost(upload.line), jobId, runtime);
    });
  };

  for (const [n, upload] of asked.entries()) {
    const id = `job-${n}`;
    const { host, sr, at } = upload;
    const line = lineOf('demo', host, sr in srSlots ? sr : undefined);
    const job: Job = { ...upload, line, state: 'asked', granted: Number.NaN };
    uploads.set(id, job);
    time.in(at, async () => {
      await store.jobs.create(aJob({ id, vmUuid: id }));
      await store.jobs.queue(id, { group: line, ticket: id }, { srUuid: sr });
      job.state = 'waits';
      queue.send({ jobId: id, ticket: id, group: line, taskToken: id });
    });
  }

  const since = new Map<string, number>();
  let longest = 0;
  const look = async () => {
    const full = new Set<string>();
    for (const host of HOSTS) if (await isFull(slotsOfHost(`demo/${host}`))) full.add(host);
    for (const sr of SRS) if (await isFull(slotsOfSr('demo', sr))) full.add(sr);
    const waiting = [...uploads.values()].filter(({ state }) => state === 'waits');
    for (const { line, host, sr } of waiting) {
      if (full.has(host) || full.has(sr)) since.delete(line);
      else since.set(line, since.get(line) ?? time.seconds);
      longest = Math.max(longest, time.seconds - (since.get(line) ?? time.seconds));
    }
    for (const line of since.keys()) if (!waiting.some((each) => each.line === line)) since.delete(line);
    if ([...uploads.values()].some(({ state }) => state !== 'over')) time.in(1, look);
  };
  time.in(1, look);
  await time.run();
  await runtime.close();
  return { longestIdle: longest, begun: [...uploads.values()].map(({ granted }) => granted) };
}

it.each([1, 2, 3])(
  'leaves no slot free for which a line waits, where SRs have limits of their own (%i)',
  async (seed) => {
    const random = randomOf(seed);
    const oneOf = (all: readonly string[]) => all[Math.floor(random() * all.length)] as string;
    const asked = Array.from({ length: JOBS }, () => ({
      host: oneOf(HOSTS),
      sr: random() < 0.7 ? oneOf(SRS) : FREE_SR,
      at: random() * 3600,
      seconds: 60 + random() * 1800,
    }));
    expect((await play(asked)).longestIdle).toBeLessThan(5);
  },
);

it('gives every line its turn, though its host and its SR are both busy with what others asked for', async () => {
  const random = randomOf(4);
  const some = (n: number, host: string, sr: string) =>
    Array.from({ length: n }, () => ({ host, sr, at: 1 + random(), seconds: 300 + random() * 600 }));
  // The host and the SR that these need are taken for twelve hours, by what was asked for after them.
  const others = [...some(150, 'h1', FREE_SR), ...some(75, 'h2', S1), ...some(75, 'h3', S1)];
  const first = some(7, 'h1', S1).map((each, n) => ({ ...each, at: n / 10 }));
  const { begun } = await play([...others, ...first]);
  expect(Math.max(...begun.slice(0, -7))).toBeGreaterThan(10 * 3600);
  expect(Math.max(...begun.slice(-7))).toBeLessThan(3 * 3600);
});
