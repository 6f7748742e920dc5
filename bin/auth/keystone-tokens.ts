import {
  KeystoneCertificateMismatch,
  KeystoneUnauthorized,
  KeystoneUnavailable,
} from '../../glance/errors.ts';
import { createKeystone, type Keystone } from '../../glance/keystone.ts';
import { ApiUnreachable, CommandFailure } from '../failures.ts';
import { readCertificateFile } from '../files.ts';
import type { KeystoneLogin } from './keystone-login.ts';

/**
 * Gives tokens of the login's project, each until shortly before its end. Its errors are those of
 * {@link Authentication.prove}.
 */
export function keystoneTokens({ caFile, ...login }: KeystoneLogin): () => Promise<string> {
  let keystone: Keystone | undefined;
  const connect = async () =>
    createKeystone({
      url: login.url,
      credential: async () => login.credential,
      clock: { now: () => new Date() },
      ...(caFile !== undefined && { ca: await readCertificateFile(caFile) }),
    });
  return async () => {
    try {
      keystone ??= await connect();
      return await keystone.token();
    } catch (cause) {
      if (cause instanceof KeystoneUnavailable) throw new ApiUnreachable(cause.message, { cause });
      if (cause instanceof KeystoneUnauthorized || cause instanceof KeystoneCertificateMismatch)
        throw new CommandFailure(cause.message, { cause });
      if (cause instanceof TypeError) throw new CommandFailure(`OS_AUTH_URL: ${cause.message}`, { cause });
      throw cause;
    }
  };
}
