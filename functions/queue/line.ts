import { type Config, poolConfig } from '../config.ts';
import type { Job } from '../job.ts';
import { lineOf } from '../store/counters.ts';

/** The line in which a job stands for a slot of the host and, where it has a limit, of the SR that its disk is in. */
export function lineFor({ pool }: Job, hostUuid: string, srUuid: string, config: Config): string {
  const { srSlots } = poolConfig(config, pool);
  return lineOf(pool, hostUuid, srSlots[srUuid] === undefined ? undefined : srUuid);
}
