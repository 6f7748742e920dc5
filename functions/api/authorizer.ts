import { createHash } from 'node:crypto';
import type {
  APIGatewayRequestAuthorizerEventV2,
  APIGatewaySimpleAuthorizerResult,
  APIGatewaySimpleAuthorizerWithContextResult,
} from 'aws-lambda';
import type { Keystone } from '../../glance/keystone.ts';
import type { Config } from '../config.ts';
import { XensnapError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type BaseRuntime, lambdaBase } from '../runtime/base.ts';
import type { AuthorizerContext } from './caller.ts';

export type Verdict =
  | APIGatewaySimpleAuthorizerResult
  | APIGatewaySimpleAuthorizerWithContextResult<AuthorizerContext>;

interface Judged {
  readonly until: number;
  readonly verdict: Verdict;
}

type Authorize = (event: Pick<APIGatewayRequestAuthorizerEventV2, 'headers'>) => Promise<Verdict>;

/** How long an answer of Keystone counts: a token that was revoked is taken for so much longer. */
const KEEP_MS = 60_000;
/** Answers kept at a time. */
const MOST_KEPT = 1000;

/**
 * Lets those in whose X-Auth-Token Keystone knows, of a project that the configuration names. What is refused is
 * kept as well, so that nobody can have Keystone asked by guessing. Throws where Keystone gives no answer: API
 * Gateway then says 500 and not that the token is wrong.
 */
export function createAuthorizer({
  config,
  keystone,
  clock,
  log,
}: Pick<BaseRuntime, 'config' | 'clock'> & { keystone: Keystone; log: Log }): Authorize {
  const kept = new Map<string, { until: number; judged: Promise<Judged> }>();

  async function judge(token: string): Promise<Judged> {
    const until = clock.now().getTime() + KEEP_MS;
    const identity = await keystone.identify(token);
    const verdict = verdictOn(identity, config);
    if (!verdict.isAuthorized)
      log.warn('caller refused', { projectId: identity?.projectId, userId: identity?.userId });
    return { until: Math.min(until, identity?.expiresAt.getTime() ?? until), verdict };
  }

  return async ({ headers = {} }) => {
    const token = headers['x-auth-token'];
    if (!token) return { isAuthorized: false };
    // The tokens themselves are not kept.
    const key = createHash('sha256').update(token).digest('hex');
    const known = kept.get(key);
    if (known && clock.now().getTime() < known.until) return (await known.judged).verdict;
    const judged = judge(token);
    const entry = { until: clock.now().getTime() + KEEP_MS, judged };
    kept.delete(key);
    kept.set(key, entry);
    if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value ?? key);
    try {
      const { until, verdict } = await judged;
      entry.until = until;
      return verdict;
    } catch (error) {
      kept.delete(key);
      throw error;
    }
  };
}

function verdictOn(identity: Awaited<ReturnType<Keystone['identify']>>, { projects = {} }: Config): Verdict {
  const projectId = identity?.projectId;
  if (!identity || projectId === undefined || !Object.hasOwn(projects, projectId))
    return { isAuthorized: false };
  const admin = projects[projectId]?.admin ?? false;
  return { isAuthorized: true, context: { projectId, userId: identity.userId, admin } };
}

let ofThisProcess: Authorize | undefined;

/** The authorizer of the HTTP API: payload 2.0, simple response. */
export const handler: Authorize = (event) => {
  ofThisProcess ??= fromRuntime(lambdaBase());
  return ofThisProcess(event);
};

function fromRuntime({ keystone, ...runtime }: BaseRuntime): Authorize {
  if (keystone) return createAuthorizer({ ...runtime, keystone });
  throw new XensnapError('ServiceUnavailable', 'The configuration names no Keystone (glance.keystone).');
}
