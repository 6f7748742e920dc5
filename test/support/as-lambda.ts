import { afterAll, beforeAll, vi } from 'vitest';

/**
 * Loads a Lambda as AWS starts one: its modules anew, in `env` and nothing else of xensnap's. A Lambda keeps the runtime
 * of its first invocation, and test files share a process: a handler that is imported would have the environment of
 * whichever file called it first.
 */
export function asLambdas<Modules extends Record<string, unknown>>(
  env: Readonly<Record<string, string>>,
  load: () => Promise<Modules>,
): Modules {
  const loaded = {} as Modules;
  beforeAll(async () => {
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    vi.resetModules();
    Object.assign(loaded, await load());
  });
  // Nor does the next file get this one's runtime.
  afterAll(() => void vi.resetModules());
  return loaded;
}
