import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localClock } from '../../../local/clock.ts';
import { type PoolOptions, type SimulatedPool, startPool } from '../../../local/pool/pool.ts';
import { logIn, type TestClient } from './client.ts';

/** A small, quiet pool whose clock runs fast, with a client that has logged in; gone at the end of the scope. */
export async function aPool(
  options: Partial<PoolOptions> = {},
): Promise<{ pool: SimulatedPool; client: TestClient; dataDir: string } & AsyncDisposable> {
  const dataDir = await mkdtemp(join(tmpdir(), 'pool-'));
  const pool = await startPool({
    dataDir,
    vms: 1,
    hosts: 1,
    diskMib: 8,
    guestWrites: false,
    clock: localClock(1000),
    ...options,
  });
  const client = await logIn(pool.url, pool.username, pool.password);
  return {
    pool,
    client,
    dataDir,
    async [Symbol.asyncDispose]() {
      await pool.close();
      await rm(dataDir, { recursive: true });
    },
  };
}

/** Waits for something to become true, without a fixed time. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** The reference in a task's result. */
export function resultRef(task: Record<string, unknown>): string {
  const [, ref] = /^<value>(OpaqueRef:[^<]+)<\/value>$/.exec(String(task.result)) ?? [];
  if (ref === undefined) throw new Error(`no reference in ${JSON.stringify(task)}`);
  return ref;
}
