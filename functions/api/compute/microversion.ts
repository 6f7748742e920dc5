import { randomUUID } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import { shorten } from '../../../glance/shorten.ts';
import { fault } from '../faults.ts';
import { NOVA } from './faults.ts';

/** The only microversion there is: what it says is all that is here. */
export const MICROVERSION = '2.1';

const HEADER = 'OpenStack-API-Version';
const LEGACY_HEADER = 'X-OpenStack-Nova-API-Version';
const FORMAT = /^[1-9]\d*\.(0|[1-9]\d*)$/;

/**
 * Refuses other microversions as Nova does: 406, or 400 for text that is not a version. Every answer names the version, and has a
 * request id, which clients print with errors.
 */
export const microversions: MiddlewareHandler = async (c, next) => {
  const requestId = `req-${randomUUID()}`;
  c.header('X-OpenStack-Request-Id', requestId);
  c.header('X-Compute-Request-Id', requestId);
  c.header(HEADER, `compute ${MICROVERSION}`);
  c.header(LEGACY_HEADER, MICROVERSION);
  c.header('Vary', `${HEADER}, ${LEGACY_HEADER}`);
  const refusal = refusalOf(asked(c), c);
  if (refusal) return refusal;
  return next();
};

function refusalOf(version: string, c: Context): Response | undefined {
  if (version === MICROVERSION || version === 'latest') return undefined;
  const shown = shorten(version, 60);
  if (!FORMAT.test(version))
    return fault(
      NOVA,
      c,
      400,
      `API Version String ${shown} is of invalid format. Must be of format MajorNum.MinorNum.`,
    );
  const text = `Version ${shown} is not supported by the API. Minimum is ${MICROVERSION} and maximum is ${MICROVERSION}.`;
  return fault(NOVA, c, 406, text);
}

/** One header names the versions of several services, `compute 2.1, identity 3.14`; the older one is Nova's alone. */
function asked(c: Context): string {
  const services = (c.req.header(HEADER) ?? '').split(',').map((each) => each.trim().split(/\s+/));
  const [, ofCompute] = services.findLast(([service]) => service?.toLowerCase() === 'compute') ?? [];
  return (ofCompute ?? c.req.header(LEGACY_HEADER) ?? MICROVERSION).trim().toLowerCase();
}
