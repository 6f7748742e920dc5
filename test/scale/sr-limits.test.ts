import type { SendTaskSuccessCommand, SFNClient } from '@aws-sdk/client-sfn';
import type { ChangeMessageVisibilityCommand, SQSClient } from '@aws-sdk/client-sqs';
import { expect, it } from 'vitest';
import { admit } from '../../functions/queue/admit.ts';
import { releaseSlotOf, wakeFirst } from '../../functions/queue/wake.ts';
import type { WholeRuntime } from '../../functions/runtime.ts';
import { lineOf, slotsOfHost, slotsOfSr } from '../../functions/store/counters.ts';
import { aJob } from '../functions/api/a-job.ts';
import { HostQueue } from './host-queue.ts';
import { memoryRuntime } from './memory-runtime.ts';
import { MemoryTable } from './memory-table.ts';
import { randomOf } from './random.ts';
import { Timeline } from './timeline.ts';

const HOSTS = ['h1', 'h2', 'h3', 'h4', 'h5', 'h6'];
const SRS = ['s1', 's2', 's3'];
const FREE_SR = 'without a limit';
const JOBS = 300;
/** Slots of each host, and of each SR. */
const SLOTS = 2;
const CONSUMERS = { concurrency: 10, consumeSeconds: 0.1 };

interface Upload {
  readonly host: string;
  /** Where the disk is. */
  readonly sr: string;
  readonly line: string;
  readonly seconds: number;
  state: 'asked' | 'waits' | 'runs' | 'over';
}

/** Answers how many seconds, at the most, a job waited while its host and its SR had a slot free. */
async function longestIdle(seed: number): Promise<number> {
  const time = new Timeline();
  const uploads = new Map<string, Upload>();
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
  const isFull = (place: string) => place !== FREE_SR && (running.get(place) ?? 0) >= SLOTS;
  const change = ({ host, sr }: Upload, by: number) => {
    for (const place of [host, sr]) running.set(place, (running.get(place) ?? 0) + by);
    if ([host, sr].some((place) => place !== FREE_SR && (running.get(place) ?? 0) > SLOTS))
      throw new Error('more jobs run than there are slots');
  };
  const begin = (jobId: string) => {
    const upload = uploads.get(jobId) as Upload;
    upload.state = 'runs';
    change(upload, 1);
    time.in(upload.seconds, async () => {
      upload.state = 'over';
      change(upload, -1);
      await releaseSlotOf(slotsOfSr('demo', upload.sr), jobId, runtime);
      await releaseSlotOf(slotsOfHost(upload.line), jobId, runtime);
    });
  };

  const random = randomOf(seed);
  const oneOf = (all: readonly string[]) => all[Math.floor(random() * all.length)] as string;
  for (let n = 0; n < JOBS; n++) {
    const [id, host, sr] = [`job-${n}`, oneOf(HOSTS), random() < 0.7 ? oneOf(SRS) : FREE_SR];
    const line = lineOf('demo', host, sr in srSlots ? sr : undefined);
    uploads.set(id, { host, sr, line, seconds: 60 + random() * 1800, state: 'asked' });
    time.in(random() * 3600, async () => {
      await store.jobs.create(aJob({ id, vmUuid: id }));
      await store.jobs.queue(id, { group: line, ticket: id }, { srUuid: sr });
      (uploads.get(id) as Upload).state = 'waits';
      queue.send({ jobId: id, ticket: id, group: line, taskToken: id });
    });
  }

  const since = new Map<string, number>();
  let longest = 0;
  const look = () => {
    const waiting = [...uploads.values()].filter(({ state }) => state === 'waits');
    for (const { line, host, sr } of waiting) {
      if (isFull(host) || isFull(sr)) since.delete(line);
      else since.set(line, since.get(line) ?? time.seconds);
      longest = Math.max(longest, time.seconds - (since.get(line) ?? time.seconds));
    }
    for (const line of since.keys()) if (!waiting.some((each) => each.line === line)) since.delete(line);
    if ([...uploads.values()].some(({ state }) => state !== 'over')) time.in(1, look);
  };
  time.in(1, look);
  await time.run();
  await runtime.close();
  return longest;
}

it.each([1, 2, 3])(
  'leaves no slot free for which a line waits, where SRs have limits of their own (%i)',
  async (seed) => expect(await longestIdle(seed)).toBeLessThan(5),
);
