import { z } from '@hono/zod-openapi';
import type { Config } from '../config.ts';
import { isFinished, isSnapshot, type Job } from '../job.ts';
import { nextRound, owedOf, owedText } from '../owed.ts';
import { hostGivenUpAt, hostNamed } from '../pool/host-away.ts';
import type { BaseRuntime } from '../runtime/base.ts';
import type { PoolHealth } from '../store/pools.ts';
import { NOT_TIDIED_UP } from '../told.ts';
import { WAITS, type Wait } from '../words.ts';
import { hearsAll, type Listener, toldTo } from './told-to.ts';

const time = z.iso.datetime();
const reason = z.object({ name: z.string(), message: z.string() });

/** Why a job gets no further, as callers see it. */
export const RetryingView = reason
  .extend({
    state: z.string().openapi({ description: 'The step that fails.', example: 'PollUpload' }),
    failures: z.int().min(1).openapi({ description: 'How many tries have failed, one after the other.' }),
    since: time.openapi({ description: 'When the first of them did.' }),
    at: time.openapi({ description: 'When the last did, whose name and message these are.' }),
    nextTryBy: time.openapi({ description: 'The next try begins by then, or is under way.' }),
  })
  .openapi('Retrying');

/** What a job waits for although nothing has failed. */
export const WaitingView = z
  .object({
    for: z.enum(WAITS).openapi({
      description:
        'window: its place in its schedule; vm: another job has it; pool: it does not answer, and begins no job; slot: of its host; coalescer: of the disk’s storage; guest: it was asked to shut down; host: it does not answer.',
    }),
    since: time.nullable(),
    until: time
      .nullable()
      .openapi({ description: 'It waits no longer than that; null where it is not known.' }),
    reason: reason.nullable(),
  })
  .openapi('Waiting');

/** What a job that has ended has still to do. */
export const OwingView = z
  .object({
    message: z
      .string()
      .openapi({ description: 'What is to be done, what stands in the way, what happens next.' }),
    holdsVm: z.boolean().openapi({
      description:
        'Whether the next job for the VM has to wait for it; false for a restore that makes its own.',
    }),
    nextTryAt: time.nullable().openapi({ description: 'Known for one job at a time, not in lists.' }),
  })
  .openapi('Owing');

/** What a view takes beside the record. */
export interface ViewDeps {
  readonly config: Config;
  readonly clock: { now(): Date };
  /** How the job's pool is, where it was looked for. */
  readonly health?: PoolHealth | undefined;
  /** When the janitor begins its next round, where it was looked for. */
  readonly nextRound?: string | undefined;
}

/** What is looked for beside the record, for the view of one job: a read at most, which decides nothing. */
export async function viewDeps(
  job: Job,
  { store, config, clock }: Pick<BaseRuntime, 'store' | 'config' | 'clock'>,
): Promise<ViewDeps> {
  const deps = { config, clock };
  if (isFinished(job))
    return job.debts
      ? { ...deps, nextRound: await nextRound(store, clock.now()).catch(() => undefined) }
      : deps;
  if (job.phase !== 'QueueForHost') return deps;
  return { ...deps, health: await store.pools.health(job.pool).catch(() => undefined) };
}

/** The failure that the job's step is tried again after; null where it works, or has gone on. */
export function retryingView(job: Job, listener: Listener): z.infer<typeof RetryingView> | null {
  const { retrying } = job;
  if (!retrying || retrying.state !== job.phase || isFinished(job)) return null;
  return { ...retrying, ...toldTo(listener, retrying) };
}

/** What the job waits for, as far as its record says it. */
export function waitingView(
  job: Job,
  listener: Listener,
  deps: ViewDeps,
): z.infer<typeof WaitingView> | null {
  if (isFinished(job)) return null;
  const hostUntil = hostGivenUpAt(job, deps);
  if (hostUntil !== undefined) return waits('host', { since: job.hostAwaySince, until: hostUntil });
  // While its step runs it waits for nothing.
  if (job.closing || job.stepUntil !== undefined || job.retrying?.state === job.phase) return null;
  const now = deps.clock.now().toISOString();
  if (isSnapshot(job) && job.phase === 'TakeVm') {
    const { startAfter = '', waitForVmUntil } = job;
    return startAfter > now ? waits('window', { until: startAfter }) : waits('vm', { until: waitForVmUntil });
  }
  if (job.phase === 'AwaitCoalesce') return waits('coalescer');
  if (!isSnapshot(job) && job.phase === 'SwapDisk' && job.shutdownSince !== undefined) {
    const until = Date.parse(job.shutdownSince) + deps.config.timings.shutdownSeconds * 1000;
    return waits('guest', { since: job.shutdownSince, until: new Date(until).toISOString() });
  }
  if (job.phase !== 'QueueForHost' || job.ticketState !== 'waiting') return null;
  const { pausedUntil = '', reason: message = '' } = deps.health ?? {};
  if (pausedUntil <= now) return waits('slot');
  return waits('pool', { reason: toldTo(listener, { name: 'PoolUnreachable', message }) });
}

function waits(
  what: Wait,
  more: { since?: string | undefined; until?: string | undefined; reason?: z.infer<typeof reason> } = {},
): z.infer<typeof WaitingView> {
  return { for: what, since: more.since ?? null, until: more.until ?? null, reason: more.reason ?? null };
}

/** What the job owes after its end, in words; null where it owes nothing, or has not ended. */
export function owingView(job: Job, listener: Listener, deps: ViewDeps): z.infer<typeof OwingView> | null {
  const owed = isFinished(job) ? owedOf(job, deps, deps.nextRound) : undefined;
  if (!owed) return null;
  const all = hearsAll(listener);
  const message = owedText(owed, {
    host: all ? `the host ${hostNamed(job)}` : 'its host',
    reason: owed.reason && (all ? owed.reason : NOT_TIDIED_UP),
  });
  return { message, holdsVm: owed.ofVm && !owed.byHost, nextTryAt: owed.nextTryAt ?? null };
}
