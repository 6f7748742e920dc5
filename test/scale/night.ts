import type { SendTaskSuccessCommand, SFNClient } from '@aws-sdk/client-sfn';
import type { ChangeMessageVisibilityCommand, SQSClient } from '@aws-sdk/client-sqs';
import { admit } from '../../functions/queue/admit.ts';
import { wakeFirst } from '../../functions/queue/wake.ts';
import type { WholeRuntime } from '../../functions/runtime.ts';
import { handler as releaseHost } from '../../functions/steps/ReleaseHost.ts';
import { handler as takeVm } from '../../functions/steps/TakeVm.ts';
import type { QueueMessage } from '../../statemachine/contract.ts';
import { aJob } from '../functions/api/a-job.ts';
import { HostQueue } from './host-queue.ts';
import { memoryRuntime } from './memory-runtime.ts';
import { MemoryTable } from './memory-table.ts';
import { randomOf } from './random.ts';
import { Timeline } from './timeline.ts';

export interface NightOptions {
  readonly vms: number;
  readonly hosts: number;
  readonly slots: number;
  readonly seed: number;
}

/** One VM's night, in seconds since its beginning. */
export interface Snapshot {
  readonly jobId: string;
  readonly host: string;
  readonly uploadSeconds: number;
  lined: number;
  granted: number;
  released: number;
}

export interface Night {
  readonly snapshots: readonly Snapshot[];
  /** Jobs by host, in the order in which they joined its line, and in the order in which they got their slots. */
  readonly lined: ReadonlyMap<string, readonly string[]>;
  readonly granted: ReadonlyMap<string, readonly string[]>;
  /** The most slots that a host ever held: by the table, and by the uploads that ran. */
  readonly most: { readonly held: number; readonly running: number };
  readonly admissions: { readonly calls: number; readonly waits: number; readonly atOnce: number };
  readonly table: MemoryTable;
  readonly runtime: WholeRuntime;
}

/** Everything is asked for within this time. */
const ASK_SECONDS = 60;
/** Between the request and the place in the line: TakeVm and InspectVm, between 1 and 5 seconds. */
const INSPECT_SECONDS = [1, 5] as const;
const UPLOAD_SECONDS = [2 * 60, 60 * 60] as const;
/** A slot is held before the upload, for host, lock, snapshot and coalescer, and after it, for check and cleanup. */
const BEFORE_UPLOAD_SECONDS = 40;
const AFTER_UPLOAD_SECONDS = 10;
/** Consumers at once, and the seconds that one call takes. */
const CONSUMERS = { concurrency: 10, consumeSeconds: 0.1 };

/** A night on virtual time: the store, admission, TakeVm and ReleaseHost are the real ones; pool and Glance are time. */
export async function night({ vms, hosts, slots, seed }: NightOptions): Promise<Night> {
  const time = new Timeline();
  const table = new MemoryTable();
  const running = new Map<string, number>();
  const lined = new Map<string, string[]>();
  const granted = new Map<string, string[]>();
  const snapshots = new Map<string, Snapshot>();
  const most = { held: 0, running: 0 };
  let waits = 0;

  const sfn = {
    send: async ({ input }: SendTaskSuccessCommand) =>
      void onGrant(snapshots.get(input.taskToken ?? '') as Snapshot),
    destroy() {},
  };
  const sqs = {
    send: async ({ input }: ChangeMessageVisibilityCommand) => queue.wake(input.ReceiptHandle ?? ''),
  } as unknown as SQSClient;
  const runtime: WholeRuntime = {
    ...memoryRuntime(time, table, { slotsPerHost: slots }),
    sfn: sfn as unknown as SFNClient,
    wake: (slots, waiting) =>
      wakeFirst(slots, waiting, { counters: store.counters, log: runtime.log, sqs, queueUrl: 'night' }),
  };
  const { store } = runtime;
  const queue = new HostQueue(time, CONSUMERS, async (message, held) => {
    const admission = await admit(message, held, runtime);
    if (admission === 'wait') waits++;
    return admission !== 'wait';
  });
  const random = randomOf(seed);
  const between = ([least, most]: readonly [number, number]) => least + random() * (most - least);

  for (let n = 0; n < vms; n++) {
    const job = aJob({ id: `job-${n}`, vmUuid: `vm-${n}`, status: 'starting', phase: 'Requested' });
    const uploadSeconds = between(UPLOAD_SECONDS);
    const host = `demo/host-${n % hosts}`;
    const snapshot = { jobId: job.id, host, uploadSeconds, lined: 0, granted: -1, released: -1 };
    snapshots.set(job.id, snapshot);
    const asked = random() * ASK_SECONDS;
    const inspected = between(INSPECT_SECONDS);
    time.in(asked, async () => {
      await store.jobs.create(job);
      await store.leases.takeVm(job.pool, job.vmUuid, job.id);
      await takeVm.in(runtime)({ jobId: job.id });
    });
    time.in(asked + inspected, () => line(snapshot));
  }

  async function line(snapshot: Snapshot): Promise<void> {
    const { jobId, host } = snapshot;
    const place = { group: host, ticket: `ticket of ${jobId}` };
    await store.jobs.queue(jobId, place, { srUuid: `sr-of-${host}` });
    snapshot.lined = time.seconds;
    noteIn(lined, host, jobId);
    // The token says which execution is woken: here, which snapshot goes on.
    const message: QueueMessage = { jobId, ...place, taskToken: jobId };
    queue.send(message);
  }

  async function onGrant(snapshot: Snapshot): Promise<void> {
    const { host, jobId, uploadSeconds } = snapshot;
    snapshot.granted = time.seconds;
    noteIn(granted, host, jobId);
    running.set(host, (running.get(host) ?? 0) + 1);
    most.running = Math.max(most.running, running.get(host) ?? 0);
    time.in(BEFORE_UPLOAD_SECONDS + uploadSeconds + AFTER_UPLOAD_SECONDS, () => release(snapshot));
    most.held = Math.max(most.held, (await store.counters.holders(`host#${host}`)).length);
  }

  async function release(snapshot: Snapshot): Promise<void> {
    const { host, jobId } = snapshot;
    await store.jobs.commit(jobId, time.now());
    running.set(host, (running.get(host) ?? 0) - 1);
    await releaseHost.in(runtime)({ jobId });
    snapshot.released = time.seconds;
  }

  await time.run();
  await runtime.close();
  const admissions = { calls: queue.receives, waits, atOnce: queue.mostAtOnce };
  return { snapshots: [...snapshots.values()], lined, granted, most, admissions, table, runtime };
}

function noteIn(of: Map<string, string[]>, host: string, jobId: string): void {
  const noted = of.get(host);
  if (noted) noted.push(jobId);
  else of.set(host, [jobId]);
}
