#!/usr/bin/env node
import { run } from './program.ts';

// What a command or a service writes is for its user alone.
process.umask(0o077);

// A reader that has seen enough, such as head, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  process.stderr.write(`xensnap: cannot write to standard output: ${error.message}\n`);
  process.exit(1);
});

process.exitCode = await run(process.argv.slice(2));
