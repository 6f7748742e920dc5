import type { KeystoneCredential, Named } from '../../glance/keystone.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where Keystone is, and who logs in to it. */
export interface KeystoneLogin {
  readonly url: string;
  /** PEM of the authority that signed its certificate. */
  readonly caFile?: string;
  readonly credential: KeystoneCredential;
}

/** The login in the variables that OpenStack's own clients read, OS_AUTH_URL and so on; undefined if they hold none. */
export function keystoneLogin(env: Environment): KeystoneLogin | undefined {
  const { OS_AUTH_URL: url, OS_CACERT: caFile } = env;
  const credential = credentialOf(env);
  if (!url || !credential) return undefined;
  return { url, credential, ...(caFile && { caFile }) };
}

function credentialOf(env: Environment): KeystoneCredential | undefined {
  const { OS_APPLICATION_CREDENTIAL_ID: id, OS_APPLICATION_CREDENTIAL_SECRET: secret } = env;
  if (id && secret) return { id, secret };
  const user = named(env, 'OS_USER_ID', 'OS_USERNAME', 'OS_USER_DOMAIN');
  const project = named(env, 'OS_PROJECT_ID', 'OS_PROJECT_NAME', 'OS_PROJECT_DOMAIN');
  return user && project && env.OS_PASSWORD ? { user, project, password: env.OS_PASSWORD } : undefined;
}

/** Names it by its id, or by a name in the domain `default` unless the variables name another. */
function named(env: Environment, idName: string, nameName: string, domain: string): Named | undefined {
  const { [idName]: id, [nameName]: name } = env;
  if (id) return { id };
  if (!name) return undefined;
  const { [`${domain}_ID`]: domainId, [`${domain}_NAME`]: domainName } = env;
  if (!domainId && domainName) return { name, domain: { name: domainName } };
  return { name, domain: { id: domainId || 'default' } };
}
