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
import { roleOf } from './roles.ts';

export type Verdict =
  | APIGatewaySimpleAuthorizerResult
  | APIGatewaySimpleAuthorizerWithContextResult<AuthorizerContext>;

type Authorize = (event: Pick<APIGatewayRequestAuthorizerEventV2, 'headers'>) => Promise<Verdict>;

/**
 * Lets those in whose X-Auth-Token Keystone knows, of a project that the configuration names. Keeps no answer: API
 * Gateway does, good or bad, for `cacheSeconds` of the stack's settings, so that a token which is revoked is taken for
 * no longer than that. Throws where Keystone gives no answer: API Gateway then says 500 and not that the token is wrong.
 */
export function createAuthorizer({
  config,
  keystone,
  log,
}: Pick<BaseRuntime, 'config'> & { keystone: Keystone; log: Log }): Authorize {
  return async ({ headers = {} }) => {
    const token = headers['x-auth-token'];
    if (!token) return { isAuthorized: false };
    const identity = await keystone.identify(token);
    const verdict = verdictOn(identity, config);
    if (!verdict.isAuthorized)
      log.warn('caller refused', { projectId: identity?.projectId, userId: identity?.userId });
    return verdict;
  };
}

function verdictOn(identity: Identity | undefined, { projects = {}, roles }: Config): Verdict {
  const projectId = identity?.projectId;
  if (!identity || projectId === undefined || !Object.hasOwn(projects, projectId))
    return { isAuthorized: false };
  const role = roleOf(identity.roles, roles);
  if (role === undefined) return { isAuthorized: false };
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
  throw new XensnapError('ServiceUnavailable', 'The configuration names no Keystone (glance.keystone).');
}
