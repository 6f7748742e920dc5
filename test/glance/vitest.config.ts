import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Run by run.sh, which starts the real Glance that these tests talk to. */
export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: ['test/glance/**/*.test.ts'],
    pool: 'forks',
    // One server, one core: files that upload at once would only wait for each other.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', './test/support/reporter.ts'],
  },
});
