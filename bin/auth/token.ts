import { CommandFailure } from '../failures.ts';
import { readSecretFile } from '../files.ts';
import type { Authentication, AuthOptions } from './authentication.ts';
import { type KeystoneLogin, keystoneLogin } from './keystone-login.ts';

/** Gives a token for each request, the same one or a newer one. */
type TokenSource = () => Promise<string>;

/** Sends X-Auth-Token: one of a file or of OS_TOKEN, else one that Keystone gives for the OS_… variables. */
export function token({ tokenFile }: AuthOptions): Authentication {
  const source = sourceOf(tokenFile, process.env.OS_TOKEN) ?? ofKeystone(keystoneLogin(process.env));
  return {
    async prove() {
      const value = await tokenOf(
        source,
        '--auth token needs --token-file, OS_TOKEN, or OS_AUTH_URL with OS_APPLICATION_CREDENTIAL_ID and ' +
          'OS_APPLICATION_CREDENTIAL_SECRET or with OS_USERNAME, OS_PASSWORD and OS_PROJECT_NAME',
      );
      return { headers: { 'x-auth-token': value }, secrets: [value] };
    },
    advice:
      "the token is over, not of this API's Keystone, or its project may not use the API: get a new one",
  };
}

/** Sends `Authorization: Bearer`, of a file or of XENSNAP_TOKEN. */
export function bearer({ tokenFile }: AuthOptions): Authentication {
  const source = sourceOf(tokenFile, process.env.XENSNAP_TOKEN);
  return {
    async prove() {
      const value = await tokenOf(source, '--auth bearer needs --token-file or XENSNAP_TOKEN');
      return { headers: { authorization: `Bearer ${value}` }, secrets: [value] };
    },
    advice: 'the token is over, or not one of the issuer and audience that the API wants: get a new one',
  };
}

function sourceOf(file: string | undefined, value: string | undefined): TokenSource | undefined {
  if (file !== undefined) return () => readSecretFile(file);
  return value ? async () => value : undefined;
}

async function tokenOf(source: TokenSource | undefined, missing: string): Promise<string> {
  if (!source) throw new CommandFailure(missing);
  const value = await source();
  // What fetch would say of it holds the token.
  if (/^[\x21-\x7e]+$/.test(value)) return value;
  throw new CommandFailure(
    'the token cannot stand in a header: it has spaces or other such characters in it',
  );
}

function ofKeystone(login: KeystoneLogin | undefined): TokenSource | undefined {
  if (!login) return undefined;
  let tokens: Promise<TokenSource> | undefined;
  return async () => {
    // Its client takes a moment to load: who has a token does not wait for it.
    tokens ??= import('./keystone-tokens.ts').then(({ keystoneTokens }) => keystoneTokens(login));
    return (await tokens)();
  };
}
