import type { Session } from '../../xapi/session.ts';
import type { PoolConfig } from '../config.ts';
import { XensnapError } from '../errors.ts';
import type { Runtime } from '../runtime/executions.ts';
import { translateOfPool } from '../translate.ts';

/**
 * Asks every pool at once, each with a session of its own. Pools of a driver that is not implemented are left out,
 * unless there is no other. One pool that does not answer fails the whole, by its name: half a list looks like all.
 */
export async function askEveryPool<T>(
  { config, withSession }: Runtime,
  ask: (xapi: Session, pool: PoolConfig) => Promise<readonly T[]>,
): Promise<T[]> {
  const pools = config.pools.filter(({ driver }) => driver === 'xenapi');
  if (pools.length === 0)
    throw new XensnapError(
      'DriverNotImplemented',
      'Every pool has the driver libvirt, which is not implemented.',
    );
  const answers = await Promise.all(
    pools.map(async (pool) => {
      try {
        return await withSession(pool.name, (xapi) => ask(xapi, pool));
      } catch (error) {
        throw translateOfPool(pool.name, error);
      }
    }),
  );
  return answers.flat();
}
