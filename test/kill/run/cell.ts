import { setTimeout as delay } from 'node:timers/promises';
import type { Job } from '../../../functions/job.ts';
import { type Cell, RUNS } from '../cells/cell.ts';
import type { Answer, World } from '../world.ts';
import { type Happening, happeningOf } from './events.ts';
import { unexpected } from './expected.ts';
import { hasRestored, takeRestoredAway } from './restored.ts';
import { leftOf, outcomeWrong } from './rules.ts';
import { type Ended, prepare, runOnce, ended as untilEnded } from './runs.ts';
import { nextJobWrong, settle } from './settle.ts';
import { forgetImages, type Stage, targetOf } from './stage.ts';
import { type Decide, strikeOf } from './strike.ts';

/** What a cell has shown. */
export interface Verdict {
  readonly id: string;
  /** Whether what was to happen did. */
  readonly fired: boolean;
  /** What is against the rules; nothing: it is green. */
  readonly wrong: readonly string[];
  readonly outcome: string;
  readonly seconds: number;
}

/** Within which a cancelled job has its outcome; seconds. */
const CANCEL_SECONDS = 15;

/** How long a dead host stays away, if its job does not end before: half an hour of the world's clock, in real seconds. */
const DEAD_SECONDS = 36;

/** Runs one cell, and checks what is left when nobody works any more. */
export async function runCell(cell: Cell, stage: Stage): Promise<Verdict> {
  const began = Date.now();
  const { world } = stage;
  const { vm, host } = targetOf(world);
  const subject = { vm, image: stage.image };
  const deadHost =
    stage.kind === 'hosts' ? world.pool.hosts.find(({ uuid }) => uuid === host)?.name : undefined;
  if (cell.run !== 'backup') await forgetImages(world, stage.image);
  await prepare(world, subject, cell.run);
  // What is restored goes to the host that is to die.
  const isToDie = stage.kind === 'hosts' && RUNS[cell.run] === 'restore';
  const awayFrom = isToDie ? world.pool.hosts.find(({ isMaster }) => isMaster) : undefined;
  if (awayFrom) await world.pool.setHost(awayFrom.uuid, { enabled: false });
  const before = await world.lookAround();
  const known = world.glance.images();
  const strike = 'event' in cell ? undefined : strikeOf(cell, world);
  const happening = 'event' in cell ? happeningOf(cell, world, host) : undefined;
  stage.happening = happening;
  stage.onStep = (step) => {
    // The state is tried again beside the one that was held.
    if (step === cell.state && strike?.fired()) strike.release();
  };
  const decide = strike?.decide ?? whileAtWork(cell, happening);
  stage.doing = 'its job';
  const patience = deadHost === undefined ? undefined : DEAD_SECONDS;
  const { job: first, ...ended } = await runOnce(world, subject, cell.run, { decide, patience });
  stage.doing = 'what happens beside it';
  happening?.ended(first?.id ?? '');
  strike?.release();
  const wrong: string[] = [];
  const answer = await happening?.over.catch((error: unknown) => void wrong.push(String(error)));
  await happening?.afterwards();
  // Some wait for their host as long as it takes.
  if (first && deadHost !== undefined) await untilEnded(world, first.id);
  if (awayFrom) await world.pool.setHost(awayFrom.uuid, { enabled: true });
  world.wire.decide = () => undefined;
  stage.doing = 'the restart of a killed service';
  stage.happening = undefined;
  await world.killed();
  // With a host its plugin dies.
  stage.doing = 'what is left';
  const isKilled = 'event' in cell ? /^service killed|^host dies/.test(cell.event) : cell.fault === 'killed';
  const atSession = 'name' in cell && (cell.name.startsWith('session.') || cell.fault === 'SESSION_INVALID');
  // Glance's and Keystone's time-outs do not pass faster, as Lambda's does here: it ends the step before it logs out.
  const outlastsStep =
    'to' in cell && /^(glance|keystone)$/.test(cell.to) && /^(never|late)$/.test(cell.fault);
  const jobNow = async () => first && (await world.service.runtime.store.jobs.get(first.id));
  const startTask = losesStart(cell);
  const allowed = { sessions: isKilled || atSession || outlastsStep, startTask, deadHost };
  wrong.push(...(await settle(stage, before, known, allowed, jobNow)));
  const job = await jobNow();
  if (hasRestored(job)) {
    stage.doing = 'the end of what was restored';
    await takeRestoredAway(world, job);
    wrong.push(...leftOf(before, await world.lookAround(), allowed));
  }
  const now: Ended = { ...ended, job };
  wrong.push(...(job ? outcomeWrong(world, job) : []));
  wrong.push(...unexpected(cell, now));
  if ('event' in cell && cell.event === 'job cancelled' && happening?.fired())
    wrong.push(...cancelWrong(answer ?? undefined, job, happening));
  stage.doing = 'the next job';
  // Where the world goes on, the next cell's job is the next one; that no lease or slot is left was looked at.
  if (isSpent(cell, wrong, world)) wrong.push(...(await nextJobWrong(world, cell.run, subject)));
  world.logs.length = 0;
  return {
    id: cell.id,
    fired: strike?.fired() ?? happening?.fired() ?? false,
    wrong,
    outcome: outcomeOf(now),
    seconds: (Date.now() - began) / 1000,
  };
}

function outcomeOf({ job, answer: { status, body } }: Ended): string {
  if (!job) return `${status} ${body?.error?.name}`;
  return job.error ? `${job.status} ${job.error.name}` : job.status;
}

/** The plugin is at work while it happens: Glance takes its bytes, or gives them, only then. */
function whileAtWork({ state }: Cell, happening: Happening | undefined): Decide | undefined {
  const held = { PollUpload: 'PUT image/file', PollDownload: 'GET image/file' }[state as string];
  if (held === undefined) return undefined;
  const until = Promise.race([
    happening?.over.catch(() => undefined),
    delay(4000, undefined, { ref: false }),
  ]);
  return ({ state, name }) => (state === 'plugin' && name === held ? { kind: 'hold', until } : undefined);
}

/** Accepted and cancelled in time; or refused because the image is good, or the job over. */
function cancelWrong(answer: Answer | undefined, job: Job | undefined, { at }: Happening): string[] {
  if (!answer || !job) return ['it was not cancelled'];
  if (answer.status === 409) return job.status === 'succeeded' ? [] : [`409, and it ${job.status}`];
  if (answer.status !== 202) return [`the cancel was answered ${answer.status} ${answer.body?.error?.name}`];
  const seconds = (Date.parse(job.finishedAt ?? '') - at()) / 1000;
  if (job.status !== 'cancelled') return [`it was answered 202, and it ${job.status}`];
  return seconds <= CANCEL_SECONDS ? [] : [`it was cancelled after ${seconds} s`];
}

/** What a world is good for after a cell: a pool that has lost a host is no other's. */
export function isSpent(cell: Cell, wrong: readonly string[], world: World): boolean {
  return (
    wrong.length > 0 ||
    losesStart(cell) ||
    world.pool.hosts.length < 2 ||
    ('event' in cell && /^host|^failed/.test(cell.event))
  );
}

/** Whether nobody gets to know the task by which a VM starts: see ARCHITECTURE's known limits. */
function losesStart(cell: Cell): boolean {
  return (
    'name' in cell &&
    cell.name.startsWith('Async.VM.start') &&
    /^(killed|late|lost-reply|truncated)$/.test(cell.fault)
  );
}
