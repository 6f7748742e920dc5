import type {
  APIGatewayRequestAuthorizerEventV2,
  APIGatewaySimpleAuthorizerResult,
  APIGatewaySimpleAuthorizerWithContextResult,
} from 'aws-lambda';
import type { Identity, Keystone } from '../../glance/keystone.ts';
import type { Config } from '../config.ts';
import { XensnapError } from '../errors.ts';
import type { Log } from '../log.ts';
import { type BaseRuntime, lambdaBase } from '../runtime/base.ts';
import type { AuthorizerContext } from './caller.ts';
import { isOver } from './rights.ts';
import { roleOf } from './roles.ts';

export type Verdict =
  | APIGatewaySimpleAuthorizerResult
  | APIGatewaySimpleAuthorizerWithContextResult<AuthorizerContext>;

type Authorize = (event: Pick<APIGatewayRequestAuthorizerEventV2, 'headers'>) => Promise<Verdict>;

const REFUSED: Verdict = { isAuthorized: false };

/**
 * Lets those in whose X-Auth-Token Keystone knows, of a project and with a role that the configuration names. Keeps no
 * answer: API Gateway does, good or bad, for `cacheSeconds` of the stack's settings, so that a token which is revoked,
 * or a role which is taken away, counts for no longer than that; that a token is over, the API sees itself. Throws where Keystone gives no answer: API Gateway then says 500 and not that the token is wrong.
 */
export function createAuthorizer({
  config,
  clock,
  keystone,
  log,
}: Pick<BaseRuntime, 'config' | 'clock'> & { keystone: Keystone; log: Log }): Authorize {
  return async ({ headers = {} }) => {
    const token = headers['x-auth-token'];
    if (!token) return REFUSED;
    const identity = await keystone.identify(token);
    const isPast = identity !== undefined && isOver(identity.expiresAt, clock.now());
    const verdict = isPast ? REFUSED : verdictOn(identity, config);
    if (!verdict.isAuthorized) {
      const { projectId, userId, roles, expiresAt } = identity ?? {};
      log.warn('caller refused', { projectId, userId, roles, expiresAt: expiresAt?.toISOString() });
    }
    return verdict;
  };
}

function verdictOn(identity: Identity | undefined, { projects = {}, roles }: Config): Verdict {
  const projectId = identity?.projectId;
  if (!identity || projectId === undefined || !Object.hasOwn(projects, projectId)) return REFUSED;
  const role = roleOf(identity.roles, roles);
  if (role === undefined) return REFUSED;
  const { userId, userName, expiresAt } = identity;
  const context = {
    projectId,
    userId,
    ...(userName !== undefined && { userName }),
    admin: projects[projectId]?.admin ?? false,
    role,
    expiresAt: expiresAt.toISOString(),
  };
  return { isAuthorized: true, context };
}

let ofThisProcess: Authorize | undefined;

/** The authorizer of the HTTP API: payload 2.0, simple response. */
export const handler: Authorize = (event) => {
  ofThisProcess ??= fromRuntime(lambdaBase());
  return ofThisProcess(event);
};

function fromRuntime({ keystone, ...runtime }: BaseRuntime): Authorize {
  if (keystone) return createAuthorizer({ ...runtime, keystone });
  throw new XensnapError('Internal', 'The configuration names no Keystone (glance.keystone).');
}
