import type { Context, MiddlewareHandler } from 'hono';
import { shorten } from '../../glance/shorten.ts';
import type { Runtime } from '../runtime/executions.ts';
import { listenerOf } from './told-to.ts';

const MOST_PATH_CHARACTERS = 200;

/**
 * Logs each request that is there to change something, whatever became of it, in one line: who, what, how it was
 * answered, and which job it is about. To stand before everything else, so that no refusal is left out.
 */
export function logChanges({ log, config }: Pick<Runtime, 'log' | 'config'>): MiddlewareHandler {
  return async (c, next) => {
    await next();
    const { method, path } = c.req;
    if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') return;
    const { actor = null } = listenerOf(c, config) ?? {};
    const jobId = c.get('jobId') as string | undefined;
    log.info('change', {
      ...{ actor, method, path: shorten(path, MOST_PATH_CHARACTERS), status: c.res.status },
      ...(jobId !== undefined && { jobId }),
    });
  };
}

/** Notes for the log which job a request is about. */
export function noteJob(c: Context, jobId: string): void {
  c.set('jobId', jobId);
}
