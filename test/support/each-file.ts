import { afterAll, vi } from 'vitest';

// Files share a process: none leaves the next one an environment or a function that is not the real one.
afterAll(() => {
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  vi.useRealTimers();
});
