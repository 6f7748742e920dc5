import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Run by run.sh, which starts moto and finds cfn-lint. */
export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: ['test/aws/**/*.test.ts'],
    pool: 'forks',
    // moto takes a core, and what is bundled or synthesised another one.
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: ['default', './test/support/reporter.ts'],
  },
});
