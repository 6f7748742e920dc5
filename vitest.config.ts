import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/glance/**', 'test/aws/**', 'test/ric/**'],
    pool: 'forks',
    // What a scenario makes is soon gone: with more room for what is young, less of it is looked at and moved.
    execArgv: ['--max-semi-space-size=32'],
    // Modules are loaded once for each worker, not once for each file, which took a third of the time. In an order of
    // chance, so that a file which needs another to have run before it, or not, does not go unseen.
    isolate: false,
    sequence: { shuffle: { files: true }, sequencer: LongestFirst },
    setupFiles: ['./test/support/each-file.ts'],
    // Much of a test's time is waiting; vitest's own choice on two cores is one worker.
    maxWorkers: 6,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default', './test/support/reporter.ts'],
  },
});
