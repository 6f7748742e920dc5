import type { EventEmitter } from 'node:events';
import type { RestoreView } from '../functions/api/restore-view.ts';
import type { JobView } from '../functions/api/view.ts';
import type { VmView } from '../functions/api/vm-view.ts';
import { leftBehind, lookAround, type Surroundings } from '../local/leftovers.ts';
import type { SimulatedPool } from '../local/pool/pool.ts';
import type { LocalService } from '../local/service.ts';
import { STEP_HANDLERS } from '../local/steps.ts';
import { takeAway } from '../local/take-away.ts';
import { type ApiClient, createClient } from './client.ts';
import { CommandFailure } from './failures.ts';
import { followJob } from './follow.ts';
import { duration, size } from './format.ts';
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
 * Takes a snapshot of the first running VM of the simulated pool through the API, brings its image back as a new VM that
 * has to boot, and destroys that again; shows how it goes, and reports on both.
 * @throws CommandFailure when a job did not succeed, the new VM does not boot, or something is left behind
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
  await bringBack(stage, image, vm.name);
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

/** The second act. */
async function bringBack(stage: Stage, image: string, name: string): Promise<void> {
  const { out, pool, service, poolName } = stage;
  const callsBefore = pool.calls.length;
  out.write(`\nRestore of that image as a new VM, which is started, and destroyed again\n`);
  const wish = { image, name: `${name}-restored`, macs: 'new', start: true };
  const job = await play<RestoreView>(stage, '/restores', wish);
  const calls = pool.calls.length - callsBefore;
  const booted = job.vm ? await bootSeconds(stage, job.vm.uuid) : undefined;
  const made = { vm: job.vm?.uuid, disk: job.diskUuid ?? undefined };
  await service.runtime.withSession(poolName, (xapi) => takeAway(xapi, made));
  const guest =
    booted === undefined ? 'did not come up' : `up from the restored disk after ${booted.toFixed(1)} s`;
  await close(stage, job, { ...restoreFacts(job), Guest: job.vm && guest, ...commonFacts(job, calls) });
  if (booted === undefined) throw new CommandFailure('the demo failed: the restored VM did not boot');
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

/** A guest that is not up by then has not got its disk back. */
const MOST_BOOT_SECONDS = 30;

/** After how many seconds the guest's tools tell of it, which needs a disk whose bytes are right; undefined if never. */
async function bootSeconds({ service, pool, signal }: Stage, uuid: string): Promise<number | undefined> {
  const vm = pool.vm(uuid);
  const started = Date.now();
  for (;;) {
    const seconds = (Date.now() - started) / 1000;
    if (String(vm.record().guest_metrics) in pool.records('VM_guest_metrics')) return seconds;
    if (seconds > MOST_BOOT_SECONDS) return undefined;
    signal.throwIfAborted();
    await service.runtime.wait(0.2);
  }
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
  const disk = `${job.diskUuid}, ${size(job.virtualBytes ?? 0)}, ${size(job.bytesWritten ?? 0)} written`;
  return {
    Status: job.status,
    VM: job.vm && `${job.vm.uuid} "${job.vm.name}"`,
    Disk: job.diskUuid && disk,
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
