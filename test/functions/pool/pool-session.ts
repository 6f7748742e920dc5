import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { localClock } from '../../../local/clock.ts';
import { type PoolOptions, type SimulatedPool, startPool } from '../../../local/pool/pool.ts';
import { createPoolClient } from '../../../xapi/client.ts';
import type { Session } from '../../../xapi/session.ts';
import { PLUGIN_FILE } from '../../support/scenario.ts';

/** A simulated pool with one VM and a session of ours on it, over XML-RPC; both end with the test. */
export async function poolSession(
  options: Partial<PoolOptions> = {},
): Promise<{ readonly pool: SimulatedPool; readonly xapi: Session }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'xensnap-'));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true, maxRetries: 5 }));
  const pool = await startPool({
    dataDir,
    pluginFile: PLUGIN_FILE,
    clock: localClock(5),
    diskMib: 2,
    vms: 1,
    guestWrites: false,
    ...options,
  });
  onTestFinished(() => pool.close());
  const client = createPoolClient({ addresses: [pool.url], originator: 'test' });
  onTestFinished(() => client.close());
  const over = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<Session>();
  const session = client.withSession({ username: pool.username, password: pool.password }, (xapi) => {
    opened.resolve(xapi);
    return over.promise;
  });
  onTestFinished(() => {
    over.resolve();
    return session;
  });
  return { pool, xapi: await opened.promise };
}
