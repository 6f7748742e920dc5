import type { EventEmitter } from 'node:events';
import type { JobView } from '../functions/api/view.ts';
import type { VmView } from '../functions/api/vm-view.ts';
import { leftBehind, lookAround } from '../local/leftovers.ts';
import type { SimulatedPool } from '../local/pool/pool.ts';
import type { LocalService } from '../local/service.ts';
import { STEP_HANDLERS } from '../local/steps.ts';
import { createClient } from './client.ts';
import { CommandFailure } from './failures.ts';
import { followJob } from './follow.ts';
import { duration, size } from './format.ts';
import { details } from './table.ts';

/** Where the demo takes place. */
export interface DemoSurroundings {
  readonly service: LocalService;
  /** Has the token of its API, if that wants one. */
  readonly tokenFile: string | undefined;
  readonly pool: SimulatedPool;
  readonly poolName: string;
  /** Emits `state` with job and state as each is entered. */
  readonly signal: AbortSignal;
  readonly states: EventEmitter<{ state: [jobId: string, state: string] }>;
}

/**
 * Takes a snapshot of the first VM of the simulated pool through the API, shows how it goes, and reports on it.
 * @throws CommandFailure when the job did not succeed, or left something behind
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
  const before = await lookAround(service, pool, poolName);
  const callsBefore = pool.calls.length;
  out.write(`Snapshot of the running VM ${vm.name} (${size(vm.rootDiskBytes ?? 0)}) into Glance\n`);
  // Before the request: the first step begins before the answer is here.
  const phases = showPhases(at, out);
  const { id } = await api.post<JobView>('/snapshots', { vm: vm.uuid });
  phases.of(id);
  const getJob = () => api.get<JobView>(`/snapshots/${id}`);
  await followJob({
    getJob,
    out,
    outcomeOnly: true,
    intervalSeconds: out.isTTY ? 0.2 : 0.5,
    signal: at.signal,
  });
  phases.end();
  await service.settled();
  const job = await getJob();
  const left = await leftovers(at, before);
  out.write(`${await report(job, pool.calls.length - callsBefore, left, service)}\n`);
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
async function leftovers(
  at: DemoSurroundings,
  before: Awaited<ReturnType<typeof lookAround>>,
): Promise<string[]> {
  const { service, pool, poolName } = at;
  for (let look = 1; ; look += 1) {
    const left = leftBehind(before, await lookAround(service, pool, poolName));
    if (left.length === 0 || look === 25) return left;
    await service.runtime.wait(0.2);
  }
}

async function report(
  job: JobView,
  calls: number,
  left: readonly string[],
  { runtime }: LocalService,
): Promise<string> {
  const image = await runtime.glance.getImage(job.id);
  const seconds = (Date.parse(job.finishedAt ?? job.createdAt) - Date.parse(job.createdAt)) / 1000;
  return details({
    Status: job.status,
    Image: image ? `${image.id} "${image.name}", ${image.status}` : 'none',
    Size: job.sizeBytes === null ? null : `${size(job.sizeBytes)} of ${size(job.bytesRead ?? 0)} read`,
    'sha512 (plugin)': job.sha512,
    'sha512 (Glance)': image?.osHashValue ?? null,
    VHDs: job.vhds.map(({ name, bytes }) => `${name} ${size(bytes)}`).join(', ') || null,
    Consistency: job.consistency,
    Warnings: job.warnings.join('; ') || null,
    Took: duration(seconds),
    'xapi calls': calls,
    'Left behind': left.length === 0 ? 'nothing' : left.join('\n'),
  });
}
