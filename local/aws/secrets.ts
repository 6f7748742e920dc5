import { randomUUID } from 'node:crypto';
import {
  epochSeconds,
  type LocalServer,
  type Operation,
  requiredString,
  ServiceError,
  serveJson,
} from './json-service.ts';

interface Secret {
  readonly arn: string;
  readonly name: string;
  readonly created: Date;
  changed: Date;
  versionId: string;
  value: SecretValue;
}

/** What a secret holds, or what tells it whenever it is asked for. */
export type SecretValue = string | (() => Promise<string>);

/**
 * Serves the part of Secrets Manager that xensnap uses, within this process. Values live in memory only, one version
 * each, and appear in no error; binary secrets are not supported.
 * @param secrets what is there from the start: value by name
 */
export function startSecrets(secrets: Readonly<Record<string, SecretValue>> = {}): LocalServer {
  const known = new Map<string, Secret>();
  for (const [name, value] of Object.entries(secrets)) create(name, value);

  function create(name: string, value: SecretValue): Secret {
    if (known.has(name))
      throw new ServiceError(
        'ResourceExistsException',
        `The operation failed because the secret ${name} already exists.`,
      );
    const now = new Date();
    const arn = `arn:aws:secretsmanager:us-east-1:000000000000:secret:${name}-local1`;
    const secret = { arn, name, created: now, changed: now, versionId: randomUUID(), value };
    known.set(name, secret);
    return secret;
  }

  function find(request: Record<string, unknown>): Secret {
    const id = requiredString(request, 'SecretId');
    const secret = known.get(id) ?? [...known.values()].find(({ arn }) => arn === id);
    if (secret) return secret;
    throw new ServiceError('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
  }

  const operations: Record<string, Operation> = {
    async GetSecretValue(request) {
      const secret = find(request);
      const { value, changed } = secret;
      const SecretString = typeof value === 'string' ? value : await value();
      return { ...identity(secret), SecretString, CreatedDate: epochSeconds(changed) };
    },
    CreateSecret: (request) =>
      identity(create(requiredString(request, 'Name'), requiredString(request, 'SecretString'))),
    PutSecretValue(request) {
      const secret = find(request);
      secret.value = requiredString(request, 'SecretString');
      secret.versionId = randomUUID();
      secret.changed = new Date();
      return identity(secret);
    },
    DescribeSecret(request) {
      const { arn, name, created, changed, versionId } = find(request);
      return {
        ARN: arn,
        Name: name,
        CreatedDate: epochSeconds(created),
        LastChangedDate: epochSeconds(changed),
        VersionIdsToStages: { [versionId]: ['AWSCURRENT'] },
      };
    },
  };
  return serveJson({ target: 'secretsmanager', version: '1.1', operations });
}

function identity({ arn, name, versionId }: Secret) {
  return { ARN: arn, Name: name, VersionId: versionId, VersionStages: ['AWSCURRENT'] };
}
