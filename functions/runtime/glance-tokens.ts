import { createKeystone, type Keystone } from '../../glance/keystone.ts';
import type { Clock } from '../clock.ts';
import type { Config } from '../config.ts';
import type { ReadSecret } from './secret-reader.ts';

/** Where Glance's tokens come from. */
export interface GlanceTokens {
  /** A token that may have been used before; undefined where Glance needs none. */
  token(): Promise<string | undefined>;
  /** A new token, for an upload, whose second try must not fail for the first one's token. */
  fresh(): Promise<string | undefined>;
  /** Used as in {@link GlanceOptions}; absent where the next token would be the same. */
  readonly forget?: () => void;
  readonly keystone?: Keystone;
  close(): Promise<void>;
}

/** Tokens of Keystone where there is one, else the one in the secret, read anew each time. */
export function glanceTokens({ glance }: Config, clock: Clock, readSecret: ReadSecret): GlanceTokens {
  const { keystone: at, secretId } = glance;
  if (at === undefined || secretId === undefined) {
    const token = async () => (secretId === undefined ? undefined : (await readSecret(secretId)).token);
    return { token, fresh: token, close: async () => {} };
  }
  const keystone = createKeystone({
    ...at,
    ca: () => at.ca,
    clock,
    credential: async () => {
      const { id = '', secret = '' } = await readSecret(secretId);
      return { id, secret };
    },
  });
  return {
    token: () => keystone.token(),
    fresh: () => keystone.renew(),
    forget: () => keystone.forget(),
    keystone,
    close: () => keystone.close(),
  };
}
