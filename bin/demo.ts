import type { EventEmitter } from 'node:events';
import type { RestoreView } from '../functions/api/restore-view.ts';
import type { JobView } from '../functions/api/view.ts';
import type { VmView } from '../functions/api/vm-view.ts';
import { leftBehind, lookAround, type Surroundings } from '../local/leftovers.ts';
import type { SimulatedPool } from '../local/pool/pool.ts';
import type { LocalService } from '../local/service.ts';
import { STEP_HANDLERS } from '../local/steps.ts';
import { type ApiClient, createClient } from './client.ts';
import { CommandFailure } from './failures.ts';
import { followJob } from './follow.ts';
import { duration, size } from './format.ts';
import { PROVED } from './report.ts';
import { details, type Row } from './table.ts';

/** Where the demo takes place. */
export interface DemoSurroundings {
  readonly service: LocalService;
  /** Has the token of its API, if that wants one. */
  readonly tokenFile: string | undefined;
  readonly pool: SimulatedPool;
  readonly poolName: string;
  readonly signal: AbortSignal;
  /** Emits `state` with job and state as each is entered. */
  readonly states: EventEmitter<{ state: [jobId: string, state: string] }>;
}

/** What both acts go by. */
interface Stage extends DemoSurroundings {
  readonly api: ApiClient;
  readonly out: NodeJS.WriteStream;
  readonly before: Surroundings;
}

/**
 * Takes a snapshot of the first running VM of the simulated pool through the API, tests that
 * its image can be restored and boots; shows how it goes, and reports on both.
 * @throws CommandFailure when a job did not succeed, or something is left behind
 */
export async function demo(at: DemoSurroundings, out: NodeJS.WriteStream): Promise<void> {
  const { service, tokenFile, pool, poolName } = at;
  const api = createClient({
    api: service.apiUrl,
    ...(tokenFile === undefined ? { auth: 'none' } : { auth: 'bearer', tokenFile }),
  });
  const { vms } = await api.get<{ vms: VmView[] }>('/vms');
  const vm = vms.find(({ powerState }) => powerState === 'Running');
  if (!vm)
    throw new CommandFailure('the demo needs a running VM; start with --vms 1 or more, or with --no-demo');
  const stage = { ...at, api, out, before: await lookAround(service, pool, poolName) };
  const image = await imageOf(stage, vm);
  await prove(stage, image);
}

/** The first act: the image's id. */
async function imageOf(stage: Stage, vm: VmView): Promise<string> {
  const { out, pool, service } = stage;
  const callsBefore = pool.calls.length;
  out.write(`Snapshot of the running VM ${vm.name} (${size(vm.rootDiskBytes ?? 0)}) into Glance\n`);
  const job = await play<JobView>(stage, '/snapshots', { vm: vm.uuid });
  const calls = pool.calls.length - callsBefore;
  await close(stage, job, { ...(await imageFacts(job, service)), ...commonFacts(job, calls) });
  return job.id;
}

/** The second act, of which nothing stays. */
async function prove(stage: Stage, image: string): Promise<void> {
  const { out, pool } = stage;
  const callsBefore = pool.calls.length;
  out.write(`\nTest of that image: restored as a VM on no network, booted from its disk, destroyed again\n`);
  const job = await play<RestoreView>(stage, '/restores', { image, test: true, boot: true });
  const calls = pool.calls.length - callsBefore;
  await close(stage, job, { ...restoreFacts(job), ...commonFacts(job, calls) });
}

/** Asks for a job and shows how it goes, until it is over. */
async function play<J extends JobView | RestoreView>(stage: Stage, path: string, body: object): Promise<J> {
  const { api, out, service, signal } = stage;
  // Before the request: the first step begins before the answer is here.
  const phases = showPhases(stage, out);
  const { id } = await api.post<J>(path, body);
  phases.of(id);
  const getJob = () => api.get<J>(`${path}/${id}`);
  const intervalSeconds = out.isTTY ? 0.2 : 0.5;
  await followJob({ getJob, out, outcomeOnly: true, intervalSeconds, signal });
  phases.end();
  await service.settled();
  return getJob();
}

/** Ends an act with its report. @throws CommandFailure when the job did not succeed, or something is left behind */
async function close(stage: Stage, job: JobView | RestoreView, facts: Row): Promise<void> {
  const left = await leftovers(stage);
  stage.out.write(
    `${details({ ...facts, 'Left behind': left.length === 0 ? 'nothing' : left.join('\n') })}\n`,
  );
  if (job.status !== 'succeeded') throw new CommandFailure(`the demo failed: ${job.error?.message}`);
  if (left.length > 0) throw new CommandFailure('the demo left something behind');
}

/** Tells each step of one job as the state machine enters it: some are over before anyone could ask. */
function showPhases({ states }: DemoSurroundings, out: NodeJS.WriteStream) {
  const started = Date.now();
  const early: { jobId: string; state: string; seconds: number }[] = [];
  let shown: string | undefined;
  let last = '';
  const show = (state: string, seconds: number) => {
    if (state === last || !(state in STEP_HANDLERS || state === 'QueueForHost')) return;
    last = state;
    out.write(`${out.isTTY ? '\r\u001b[K' : ''}${seconds.toFixed(1).padStart(5)} s  ${state}\n`);
  };
  const listen = (jobId: string, state: string) => {
    const seconds = (Date.now() - started) / 1000;
    if (shown === undefined) early.push({ jobId, state, seconds });
    else if (jobId === shown) show(state, seconds);
  };
  states.on('state', listen);
  return {
    /** Says which job is meant, and tells what it did meanwhile. */
    of(id: string) {
      shown = id;
      for (const { jobId, state, seconds } of early) if (jobId === id) show(state, seconds);
    },
    end: () => states.off('state', listen),
  };
}

/** The outcome is told a moment before the VM is free again. */
async function leftovers({ service, pool, poolName, before }: Stage): Promise<string[]> {
  for (let look = 1; ; look += 1) {
    const left = leftBehind(before, await lookAround(service, pool, poolName));
    if (left.length === 0 || look === 25) return left;
    await service.runtime.wait(0.2);
  }
}

async function imageFacts(job: JobView, { runtime }: LocalService): Promise<Row> {
  const image = await runtime.glance.getImage(job.id);
  return {
    Status: job.status,
    Image: image ? `${image.id} "${image.name}", ${image.status}` : 'none',
    Size: job.sizeBytes === null ? null : `${size(job.sizeBytes)} of ${size(job.bytesRead ?? 0)} read`,
    'sha512 (plugin)': job.sha512,
    'sha512 (Glance)': image?.osHashValue ?? null,
    VHDs: job.vhds.map(({ name, bytes }) => `${name} ${size(bytes)}`).join(', ') || null,
    Consistency: job.consistency,
  };
}

function restoreFacts(job: RestoreView): Row {
  return {
    Status: job.status,
    Proved: job.reached && PROVED[job.reached],
    Written: `${size(job.bytesWritten ?? 0)} of ${size(job.virtualBytes ?? 0)}`,
  };
}

function commonFacts(job: JobView | RestoreView, calls: number): Row {
  const seconds = (Date.parse(job.finishedAt ?? job.createdAt) - Date.parse(job.createdAt)) / 1000;
  return {
    Warnings: job.warnings.join('; ') || null,
    Took: duration(seconds),
    'xapi calls': calls,
  };
}
