import { executeApiRegion, isLocal } from '../address.ts';
import { UsageFailure } from '../failures.ts';
import type { Authentication, AuthMethod, AuthOptions } from './authentication.ts';
import { iam } from './iam.ts';
import { keystoneLogin } from './keystone-login.ts';
import { ownService } from './own-service.ts';
import { bearer, token } from './token.ts';

const METHODS: Readonly<Record<AuthMethod, (url: URL, options: AuthOptions) => Authentication>> = {
  none: () => ({
    prove: async () => ({ headers: {}, secrets: [] }),
    advice: 'it wants to know who asks: set --auth (or XENSNAP_AUTH) to iam, token or bearer',
  }),
  iam,
  token: (_url, options) => token(options),
  bearer: (_url, options) => bearer(options),
};

/**
 * How to tell the API at `url` who asks. Nothing is read before the first request.
 * @throws UsageFailure when the options do not go together
 */
export function chooseAuthentication(url: URL, options: AuthOptions): Authentication {
  const method = options.auth ?? methodFor(url);
  if (options.tokenFile !== undefined && method !== 'token' && method !== 'bearer')
    throw new UsageFailure(
      '--token-file needs --auth token (Keystone, X-Auth-Token) or --auth bearer (Authorization)',
    );
  if (options.region !== undefined && method !== 'iam')
    throw new UsageFailure('--region is for the signature of --auth iam alone');
  if (options.auth === undefined && isLocal(url)) return ownService(url);
  return METHODS[method](url, options);
}

/** Chooses by the address; a token from the environment is sent neither to this machine nor in plain text. */
function methodFor(url: URL): AuthMethod {
  if (executeApiRegion(url) !== undefined) return 'iam';
  if (isLocal(url) || url.protocol !== 'https:') return 'none';
  if (process.env.XENSNAP_TOKEN) return 'bearer';
  return process.env.OS_TOKEN || keystoneLogin(process.env) ? 'token' : 'none';
}
