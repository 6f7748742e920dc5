import type { ChangeMessageVisibilityCommand, SQSClient } from '@aws-sdk/client-sqs';
import { tidy } from '../../functions/janitor.ts';
import { newJob } from '../../functions/new-job.ts';
import { admit } from '../../functions/queue/admit.ts';
import { wakeFirst } from '../../functions/queue/wake.ts';
import type { requestSnapshot } from '../../functions/request.ts';
import { withExecutions } from '../../functions/runtime/executions.ts';
import type { WholeRuntime } from '../../functions/runtime.ts';
import { tick } from '../../functions/schedules.ts';
import { handler as releaseHost } from '../../functions/steps/ReleaseHost.ts';
import { handler as takeVm } from '../../functions/steps/TakeVm.ts';
import type { Image } from '../../glance/image.ts';
import { aSchedule } from '../functions/schedules/a-schedule.ts';
import { HostQueue } from './host-queue.ts';
import { memoryRuntime } from './memory-runtime.ts';
import { Functions, glanceOf, imageOf, NightMachine, sessionsOf } from './night-services.ts';
import { need, Quotas } from './quotas.ts';
import { randomOf } from './random.ts';
import { ThrottledTable } from './throttled-table.ts';
import { Timeline } from './timeline.ts';

export interface NightOptions {
  readonly vms: number;
  readonly pools: number;
  /** Of all pools. */
  readonly hosts: number;
  readonly slots: number;
  readonly seed: number;
}

/** One VM's night, in seconds since its beginning; what has not happened is -1. */
export interface Snapshot {
  readonly jobId: string;
  readonly host: string;
  readonly uploadSeconds: number;
  asked: number;
  lined: number;
  granted: number;
  released: number;
}

/** A run of a function that comes by itself: when, and how long it took, in seconds. */
export interface Round {
  readonly at: number;
  readonly seconds: number;
  readonly failure?: string;
}

export interface Night {
  readonly snapshots: readonly Snapshot[];
  /** Jobs by host, in the order in which they joined its line, and in the order in which they got their slots. */
  readonly lined: ReadonlyMap<string, readonly string[]>;
  readonly granted: ReadonlyMap<string, readonly string[]>;
  /** The most slots that a host ever held: by the table, and by the uploads that ran. */
  readonly most: { readonly held: number; readonly running: number };
  readonly admissions: { readonly calls: number; readonly waits: number; readonly atOnce: number };
  /** Looks at the schedules, every minute, and the janitor's rounds, every 15. */
  readonly ticks: readonly Round[];
  readonly rounds: readonly (Round & { readonly findings: number })[];
  /** When each run was asked for, in seconds after its nominal time: of the first night, and of the next. */
  readonly asked: readonly [readonly number[], readonly number[]];
  /** Requests for jobs that were there, because two looks at the schedules were at work at once. */
  readonly askedAgain: number;
  /** What was on record before the next night began. */
  readonly before: {
    readonly open: number;
    readonly outcomes: Readonly<Record<string, number>>;
    readonly holders: number;
  };
  readonly quotas: Quotas;
  readonly functions: Functions;
  readonly table: ThrottledTable;
}

/** The schedule is due a minute after the beginning, each day. */
const DUE_SECONDS = 60;
const DAY_SECONDS = 86_400;
/** What a request for a snapshot takes: calls of the pool and of Glance. */
const REQUEST_SECONDS = 0.7;
const UPLOAD_SECONDS = [2 * 60, 60 * 60] as const;
/** A slot is held before the upload, for host, lock, snapshot and coalescer, and after it, for check and cleanup. */
const BEFORE_UPLOAD_SECONDS = 40;
const AFTER_UPLOAD_SECONDS = 10;
const POLL_SECONDS = 300;
/** Consumers at once, and the seconds that one call takes beside the table's. */
const CONSUMERS = { concurrency: 10, consumeSeconds: 0.05 };
const JANITOR_SECONDS = 15 * 60;

/**
 * A night on virtual time, behind the quotas of AWS, and the beginning of the next: one schedule with a selector for all
 * VMs. The schedules, the store, admission, TakeVm, ReleaseHost and the janitor are the real ones; pool and Glance, and
 * the other steps, are time.
 */
export async function night({ vms, pools, hosts, slots, seed }: NightOptions): Promise<Night> {
  const time = new Timeline();
  const random = randomOf(seed);
  const between = ([least, most]: readonly [number, number]) => least + random() * (most - least);
  const quotas = new Quotas(time, random);
  const table = new ThrottledTable(time, quotas);
  const functions = new Functions(time, quotas);
  const machine = new NightMachine(quotas, {
    start: (id) => void (snapshots.has(id) && time.in(0, () => begin(snapshots.get(id) as Snapshot))),
    // The token says which execution is woken: here, which snapshot goes on.
    token: (jobId) => time.in(0, () => upload(snapshots.get(jobId) as Snapshot)),
  });
  const names = Array.from({ length: pools }, (_, n) => `pool-${n}`);
  const hostOf = (n: number) =>
    `${names[n % pools]}/host-${Math.floor(n / pools) % Math.ceil(hosts / pools)}`;
  const all = Array.from({ length: vms }, (_, n) => ({ uuid: `vm-${n}`, name_label: `vm-${n}`, tags: [] }));
  const vmsOf = Object.fromEntries(
    names.map((pool) => [
      pool,
      Object.fromEntries(all.flatMap((vm, n) => (names[n % pools] === pool ? [[vm.uuid, vm]] : []))),
    ]),
  );
  const places = [...new Set(all.map((_, n) => hostOf(n)))];
  const hostsOf = Object.fromEntries(
    names.map((pool) => [
      pool,
      Object.fromEntries(
        places
          .filter((place) => place.startsWith(`${pool}/`))
          .map((place) => [place, { uuid: place.split('/')[1], name_label: place }]),
      ),
    ]),
  );
  const images: Image[] = [];
  const base = memoryRuntime(time, table, { slotsPerHost: slots, pools: names });
  const sfn = machine.client();
  const sqs = {
    async send({ input }: ChangeMessageVisibilityCommand) {
      await quotas.call([need('ChangeMessageVisibility')]);
      queue.wake(input.ReceiptHandle ?? '');
    },
  } as unknown as SQSClient;
  const runtime: WholeRuntime = {
    ...withExecutions(base, ENVIRONMENT, {}, sfn),
    ...{ sfn, sqs: base.sqs, queueUrl: base.queueUrl, glance: glanceOf(images) },
    withSession: sessionsOf(
      time,
      (pool) => vmsOf[pool] ?? {},
      (pool) => hostsOf[pool] ?? {},
    ),
    wake: (slots, waiting) =>
      wakeFirst(slots, waiting, { counters: store.counters, log: runtime.log, sqs, queueUrl: 'night' }),
    close: base.close,
  };
  const { store } = runtime;
  let waits = 0;
  const queue = new HostQueue(time, CONSUMERS, async (message, held) => {
    await quotas.call([need('ReceiveMessage')]);
    const hide = async (seconds: number) => {
      await quotas.call([need('ChangeMessageVisibility')]);
      await held.hide(seconds);
    };
    const admission = await functions.run(0, () => admit(message, { ...held, hide }, runtime));
    if (admission === 'wait') waits++;
    else await quotas.call([need('DeleteMessage')]);
    return admission !== 'wait';
  });

  const snapshots = new Map<string, Snapshot>();
  const [lined, granted] = [new Map<string, string[]>(), new Map<string, string[]>()];
  const running = new Map<string, number>();
  const most = { held: 0, running: 0 };
  const asked: [number[], number[]] = [[], []];
  let askedAgain = 0;
  const nominal = time.now().getTime() + DUE_SECONDS * 1000;

  const request: typeof requestSnapshot = async (wish) => {
    const n = Number(wish.vm.slice(3));
    await time.sleep(REQUEST_SECONDS);
    const target = { ...{ pool: wish.pool, vm: all[n], device: '0', virtualBytes: 1 }, xapiCalls: 5 };
    const job = newJob(wish.jobId ?? '', wish, target as never, runtime);
    if (!(await store.jobs.create(job))) {
      askedAgain++;
      return { job, created: false };
    }
    const day = Date.parse(wish.scheduled?.nominal ?? '') > nominal ? 1 : 0;
    if (day === 0)
      snapshots.set(job.id, {
        ...{ jobId: job.id, host: hostOf(n), uploadSeconds: between(UPLOAD_SECONDS) },
        ...{ asked: time.seconds, lined: -1, granted: -1, released: -1 },
      });
    await runtime.executions.start(job);
    asked[day].push(time.seconds - DUE_SECONDS - day * DAY_SECONDS);
    if (asked[1].length === vms) time.stop();
    return { job, created: true };
  };

  async function begin(snapshot: Snapshot): Promise<void> {
    const { jobId, host } = snapshot;
    await quotas.wait('StateTransition', 3);
    const { taken } = await functions.run(0.1, () => takeVm.in(runtime)({ jobId }));
    if (!taken) throw new Error(`${jobId} has not got its VM`);
    await functions.steps(['InspectVm']);
    const place = { group: host, ticket: `ticket of ${jobId}` };
    await store.jobs.queue(jobId, place, { srUuid: `sr-of-${host}` });
    await quotas.call([need('SendMessage')]);
    snapshot.lined = time.seconds;
    noteIn(lined, host, jobId);
    queue.send({ jobId, ...place, taskToken: jobId });
  }

  async function upload(snapshot: Snapshot): Promise<void> {
    const { host, jobId, uploadSeconds } = snapshot;
    snapshot.granted = time.seconds;
    noteIn(granted, host, jobId);
    running.set(host, (running.get(host) ?? 0) + 1);
    most.running = Math.max(most.running, running.get(host) ?? 0);
    most.held = Math.max(most.held, (await store.counters.holders(`host#${host}`)).length);
    const until = snapshot.granted + BEFORE_UPLOAD_SECONDS;
    await functions.steps(['ConfirmHost', 'UnlockVm', 'StartSnapshot', 'PollSnapshot', 'AwaitCoalesce']);
    await functions.steps(['AwaitCoalesce', 'StartUpload']);
    await time.sleep(until - time.seconds);
    for (let left = uploadSeconds; left > 0; left -= POLL_SECONDS) {
      await functions.steps(['PollUpload']);
      await time.sleep(Math.min(left, POLL_SECONDS));
    }
    const end = time.seconds + AFTER_UPLOAD_SECONDS;
    await functions.steps(['VerifyImage', 'RotateBackups', 'DestroySnapshot', 'RelockVm']);
    await store.jobs.commit(jobId, time.now());
    images.push(imageOf(jobId, time.now().toISOString()));
    await time.sleep(end - time.seconds);
    running.set(host, (running.get(host) ?? 0) - 1);
    await functions.run(0.2, () => releaseHost.in(runtime)({ jobId }));
    machine.running.delete(jobId);
  }

  const release = store.counters.release.bind(store.counters);
  store.counters.release = async (counter, jobId) => {
    const waiting = await release(counter, jobId);
    const snapshot = snapshots.get(jobId);
    if (snapshot && snapshot.released < 0) snapshot.released = time.seconds;
    return waiting;
  };

  const ticks: Round[] = [];
  const rounds: (Round & { findings: number })[] = [];
  const every = (seconds: number, work: () => Promise<void>) => {
    const again = () => {
      time.in(seconds, again);
      return work();
    };
    time.in(0, again);
  };
  every(60, async () => void ticks.push(await timed(() => functions.run(0, () => tick(runtime, request)))));
  every(JANITOR_SECONDS, async () => {
    let findings = 0;
    const round = await timed(() =>
      functions.run(0, async () => {
        findings = (await tidy(runtime)).findings.length;
      }),
    );
    rounds.push({ ...round, findings });
  });
  async function timed(work: () => Promise<void>): Promise<Round> {
    const at = time.seconds;
    try {
      await work();
      return { at, seconds: time.seconds - at };
    } catch (error) {
      return { at, seconds: time.seconds - at, failure: String(error) };
    }
  }

  const before = { open: -1, outcomes: {} as Record<string, number>, holders: 0 };
  time.in(DAY_SECONDS, async () => {
    before.open = (await Array.fromAsync(store.jobs.open())).length;
    for await (const { outcome = 'none' } of store.runs.ofDay(new Date(nominal).toISOString().slice(0, 10)))
      count(outcome);
    for (const host of lined.keys()) before.holders += (await store.counters.holders(`host#${host}`)).length;
  });
  const count = (outcome: string) => {
    before.outcomes[outcome] = (before.outcomes[outcome] ?? 0) + 1;
  };
  time.in(2 * DAY_SECONDS, () => time.stop());

  await Promise.all([
    store.schedules.create(
      aSchedule(time.now(), {
        ...{ selector: {}, timing: { daily: { at: '01:01' } } },
        nextAt: new Date(nominal).toISOString(),
      }),
    ),
    time.run(),
  ]);
  await runtime.close();
  return {
    ...{ snapshots: [...snapshots.values()], lined, granted, most, ticks, rounds, asked, askedAgain, before },
    admissions: { calls: queue.receives, waits, atOnce: queue.mostAtOnce },
    ...{ quotas, functions, table },
  };
}

const ENVIRONMENT = {
  XENSNAP_STATE_MACHINE_ARN: 'arn:aws:states:us-east-1:000000000000:stateMachine:memory',
  XENSNAP_RESTORE_MACHINE_ARN: 'arn:aws:states:us-east-1:000000000000:stateMachine:memory-restore',
};

function noteIn(of: Map<string, string[]>, host: string, jobId: string): void {
  const noted = of.get(host);
  if (noted) noted.push(jobId);
  else of.set(host, [jobId]);
}
