#!/usr/bin/env node
import { killAgainAndAgain } from './kill9.ts';
import { atLeast, seeded } from './options.ts';

// As the service has it for what it writes.
process.umask(0o077);

const program = seeded(
  'test:kill9',
  'Kills the service at random moments; started again on the same folder it is clean within a minute.',
)
  .option('--kills <n>', 'how often', atLeast(1), 10)
  .parse();

const { seed, kills } = program.opts<{ seed: number; kills: number }>();
const tell = (line: string) => process.stdout.write(`${line}\n`);
tell(`seed ${seed}`);
try {
  await killAgainAndAgain({ seed, kills, tell });
  tell(`${kills} kills, 0 failed`);
} catch (error) {
  tell(`FAILED, seed ${seed}: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
