#!/usr/bin/env node
import * as fc from 'fast-check';
import { atLeast, seeded } from '../options.ts';
import { planOf, plans } from './plan.ts';
import { play } from './play.ts';
import { playAll } from './pool-of-workers.ts';

const program = seeded(
  'test:random',
  'Plays random schedules of faults, jobs of two installations and an operator on one pool and one Glance.',
)
  .option('--schedules <n>', 'how many, of the seeds from --seed on', atLeast(1), 1000)
  .option('--minutes <n>', 'begins none after that', atLeast(0, false), Number.POSITIVE_INFINITY)
  .option('--workers <n>', 'processes that play at a time', atLeast(1), 6)
  .option('--shrink', 'looks for the simplest schedule that fails like that of --seed, which takes a while')
  .addHelpText(
    'after',
    '\nOne alone, with the logs of its services:\n  $ npm run test:random -- --seed S --schedules 1',
  )
  .parse();

/** Tells how far it is after so many. */
const PROGRESS = 25;

interface Options {
  readonly seed: number;
  readonly schedules: number;
  readonly minutes: number;
  readonly workers: number;
  readonly shrink?: boolean;
}
const { seed, schedules, minutes, workers, shrink } = program.opts<Options>();
const tell = (line: string) => process.stdout.write(`${line}\n`);

async function playOne(): Promise<number> {
  const plan = planOf(seed);
  for (const action of plan.actions) tell(JSON.stringify(action));
  const { wrong, ended, logs } = await play(plan);
  for (const line of logs) tell(line);
  tell(JSON.stringify(ended));
  for (const line of wrong) tell(`FAILED: ${line}`);
  return wrong.length;
}

async function playMany(): Promise<number> {
  const until = Date.now() + minutes * 60_000;
  let following = seed;
  let [played, failed] = [0, 0];
  const total: Record<string, number> = {};
  await playAll(
    workers,
    () => (following < seed + schedules && Date.now() < until ? following++ : undefined),
    ({ seed, wrong, ended }) => {
      played += 1;
      if (played % PROGRESS === 0) tell(`${played} schedules`);
      for (const [name, count] of Object.entries(ended)) total[name] = (total[name] ?? 0) + count;
      if (wrong.length === 0) return;
      failed += 1;
      tell(`FAILED: --seed ${seed} --schedules 1`);
      for (const line of wrong) tell(`  ${line}`);
    },
  );
  tell(
    Object.entries(total)
      .map(([name, count]) => `${name} ${count}`)
      .join(', '),
  );
  tell(`${played} schedules from seed ${seed} on, ${failed} failed`);
  return failed;
}

/** The first schedule of a seed is the one that {@link planOf} has. */
async function playSimplest(): Promise<number> {
  const fails = fc.asyncProperty(plans, async (plan) => (await play(plan)).wrong.length === 0);
  const { failed, counterexample } = await fc.check(fails, { seed, numRuns: 1 });
  tell(failed ? `FAILED: ${JSON.stringify(counterexample?.[0])}` : 'it does not fail');
  return failed ? 1 : 0;
}

const failed = await (shrink ? playSimplest() : schedules === 1 ? playOne() : playMany());
process.exitCode = failed > 0 ? 1 : 0;
