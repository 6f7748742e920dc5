import { setTimeout as pause } from 'node:timers/promises';
import type { JobView } from '../../functions/api/view.ts';
import { type AnyJob, isRestore, pathOf } from '../any-job.ts';
import type { ApiClient } from '../client.ts';
import { ApiRefused, CommandFailure } from '../failures.ts';
import type { Aws } from './aws.ts';
import { type Ground, NotProved } from './check.ts';
import type { Deployed } from './stack.ts';

/** Between two looks. */
const LOOK_SECONDS = 5;
/** A small VM's snapshot, with a wait for its SR. */
const JOB_SECONDS = 3600;
/** What has been cancelled is undone by then, unless its pool is away. */
const ENDING_SECONDS = 900;

interface Made {
  readonly aws: Aws;
  readonly stack: Deployed;
  readonly client: ApiClient;
  readonly vms: readonly string[];
  readonly deleteImage: (id: string) => Promise<unknown>;
  /** Ends every wait but those of what is undone. */
  readonly signal: AbortSignal;
}

/** The ground of the checks, and what undoes what they left; `undoAll` answers what could not be undone. */
export function groundOf({ aws, stack, client, vms, deleteImage, signal }: Made): {
  ground: Ground;
  undoAll: () => Promise<string[]>;
} {
  const undos: { what: string; undo: () => Promise<unknown> }[] = [];
  let first: Promise<JobView> | undefined;
  const eventually: Ground['eventually'] = (look, seconds) => lookUntil(look, seconds, signal);
  const ground: Ground = {
    aws,
    stack,
    client,
    vms,
    eventually,
    async asStranger(method, path, headers = {}) {
      const asked = fetch(`${stack.apiUrl}${path}`, { method, headers, redirect: 'manual' });
      const response = await asked.catch((error: Error) => {
        // The error itself says that the fetch failed.
        const { message } = error.cause instanceof Error ? error.cause : error;
        throw new NotProved(`${method} ${stack.apiUrl}${path}: ${message || 'nothing answers'}`);
      });
      return { status: response.status, text: await response.text() };
    },
    async request<J extends AnyJob>(kind: 'snapshots' | 'restores', wish: object): Promise<J> {
      const job = await client.post<J>(`/${kind}`, wish);
      if (kind === 'snapshots') ground.atEnd(`the image ${job.id}`, () => deleteImage(job.id));
      ground.atEnd(`the job ${job.id}`, () => end(client, pathOf(kind, job.id)));
      return job;
    },
    async until<J extends AnyJob>(job: J, reached: (job: J) => boolean, seconds: number): Promise<J> {
      const path = pathOf(isRestore(job) ? 'restores' : 'snapshots', job.id);
      let last = job;
      const found = await eventually(async () => {
        last = await client.get<J>(path);
        if (reached(last)) return last;
        if (!isOver(last)) return undefined;
        throw new NotProved(
          `the job ${job.id} ended ${last.status}: ${last.error?.message ?? 'without an error'}`,
        );
      }, seconds);
      if (found) return found;
      throw new NotProved(
        `after ${seconds} s the job ${job.id} is ${last.status} in ${last.phase}, owing ${last.owes.join(', ') || 'nothing'}`,
      );
    },
    firstJob() {
      first ??= (async () => {
        const job = await ground.request<JobView>('snapshots', { vm: vms[0] });
        return ground.until(
          job,
          ({ status, owes }) => status === 'succeeded' && owes.length === 0,
          JOB_SECONDS,
        );
      })();
      return first;
    },
    atEnd: (what, undo) => undos.push({ what, undo }),
  };
  return { ground, undoAll: () => undoInTurn(undos) };
}

/** Looks until there is something to see, or so many seconds are over. @throws AbortError */
async function lookUntil<T>(
  look: () => Promise<T | undefined>,
  seconds: number,
  signal?: AbortSignal,
): Promise<T | undefined> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found !== undefined || Date.now() >= end) return found;
    await pause(LOOK_SECONDS * 1000, undefined, { ...(signal && { signal }) });
  }
}

/** The last one first: a job ends before its image is deleted. */
async function undoInTurn(
  undos: readonly { what: string; undo: () => Promise<unknown> }[],
): Promise<string[]> {
  const left: string[] = [];
  for (const { what, undo } of undos.toReversed())
    try {
      await undo();
    } catch (error) {
      left.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  return left;
}

/** Whether nothing changes any more: it has ended, and owes nothing. */
function isOver({ finishedAt, owes }: AnyJob): boolean {
  return finishedAt !== null && owes.length === 0;
}

/** Cancels a job that has not ended, and waits until it owes nothing. */
async function end(client: ApiClient, path: string): Promise<void> {
  const job = await client.get<AnyJob>(path);
  if (isOver(job)) return;
  try {
    if (job.finishedAt === null) await client.delete(path);
  } catch (error) {
    // It can end in success alone by now.
    if (!(error instanceof ApiRefused && error.status === 409)) throw error;
  }
  const over = await lookUntil(async () => {
    const now = await client.get<AnyJob>(path);
    return isOver(now) ? now : undefined;
  }, ENDING_SECONDS);
  if (!over) throw new CommandFailure('it has not ended');
}
