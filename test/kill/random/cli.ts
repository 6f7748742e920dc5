#!/usr/bin/env node
import { atLeast, seeded } from '../options.ts';
import { planOf } from './plan.ts';
import { play } from './play.ts';

const program = seeded('test:random', 'Plays random schedules of faults, jobs and operators.')
  .option('--schedules <n>', 'how many, of the seeds that follow one another', atLeast(1), 1000)
  .parse();
const { seed, schedules } = program.opts<{ seed: number; schedules: number }>();
for (let n = seed; n < seed + schedules; n++) {
  const t = Date.now();
  const c = process.cpuUsage();
  const plan = planOf(n);
  const { wrong, ended, logs } = await play(plan);
  const cpu = process.cpuUsage(c);
  console.log(
    n,
    Date.now() - t,
    'ms',
    ((cpu.user + cpu.system) / 1e6).toFixed(1),
    'cpu',
    JSON.stringify(ended),
    JSON.stringify(wrong, null, 1),
  );
  if (wrong.length) {
    console.log(JSON.stringify(plan));
    if (process.env.LOGS) console.log(logs.join('\n'));
  }
}
