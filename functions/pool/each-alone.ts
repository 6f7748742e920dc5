import { XapiError } from '../../xapi/errors.ts';
import { XensnapError } from '../errors.ts';

/**
 * What `handle` makes of each thing in a pool, one after the other. One that the pool refuses something of keeps none of
 * the others from being handled; the first refusal is thrown in the end. A pool that does not answer ends it at once, for
 * each further question would wait as long.
 */
export async function eachAlone<T, R>(items: readonly T[], handle: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const refusals: Error[] = [];
  for (const item of items)
    try {
      results.push(await handle(item));
    } catch (error) {
      if (!(error instanceof XapiError || error instanceof XensnapError)) throw error;
      refusals.push(error);
    }
  if (refusals[0]) throw refusals[0];
  return results;
}
