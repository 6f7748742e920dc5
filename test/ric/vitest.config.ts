import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Run by run.sh, which installs AWS's runtime interface client. */
export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: ['test/ric/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', './test/support/reporter.ts'],
  },
});
