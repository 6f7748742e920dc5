#!/usr/bin/env node
import { atLeast, seeded } from '../options.ts';
import { soak } from './soak.ts';

const program = seeded(
  'test:soak',
  'Runs many jobs while calls fail: each ends, nothing is left, and the service’s heap does not grow.',
)
  .option('--jobs <n>', 'how many', atLeast(1), 2000)
  .option('--percent <n>', 'of all calls fail', atLeast(0, false), 5)
  .parse();

const options = program.opts<{ seed: number; jobs: number; percent: number }>();
const tell = (line: string) => process.stdout.write(`${line}\n`);
tell(`seed ${options.seed}`);
const wrong = await soak({ ...options, tell });
for (const line of wrong) tell(`FAILED: ${line}`);
tell(`${options.jobs} jobs, ${wrong.length} failed`);
process.exitCode = wrong.length > 0 ? 1 : 0;
