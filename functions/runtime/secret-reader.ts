import {
  GetSecretValueCommand,
  ResourceNotFoundException,
  type SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { awsFailure } from '../aws-failure.ts';
import { XensnapError } from '../errors.ts';

/** Reads the fields of a secret that the configuration names. */
export type ReadSecret = (secretId: string) => Promise<Record<string, string>>;

/**
 * Reads secrets anew each time, so that a changed one counts at once. `nameOf` gives what Secrets Manager calls one.
 * What it gives throws SecretUnusable, or ServiceUnavailable where another try may mend it; both name the secret and
 * quote nothing of it.
 */
export function secretReader(client: SecretsManagerClient, nameOf: (secretId: string) => string): ReadSecret {
  return async (secretId) => {
    let text: string | undefined;
    try {
      const answer = await client.send(new GetSecretValueCommand({ SecretId: nameOf(secretId) }));
      text = answer.SecretString;
    } catch (cause) {
      throw unreadable(secretId, cause);
    }
    return fieldsOf(secretId, text ?? '{}');
  };
}

function unreadable(secretId: string, cause: unknown): XensnapError {
  // AWS answers the same for a secret that was created and never filled.
  const why =
    cause instanceof ResourceNotFoundException
      ? 'is not there, or nothing has been written into it yet: docs/deploy.md says what is to be in it'
      : `could not be read: ${cause instanceof Error ? cause.name : 'unknown'}`;
  const name = cause instanceof Error && awsFailure(cause) ? 'ServiceUnavailable' : 'SecretUnusable';
  return new XensnapError(name, `The secret "${secretId}" ${why}.`, { cause });
}

/** What a secret holds. What it is instead is not said: the parser's own message would quote it. */
function fieldsOf(secretId: string, text: string): Record<string, string> {
  try {
    const fields: unknown = JSON.parse(text);
    if (typeof fields === 'object' && fields !== null) return fields as Record<string, string>;
  } catch {
    // Told below.
  }
  throw new XensnapError(
    'SecretUnusable',
    `The secret "${secretId}" holds no JSON object. Write it anew, as README.md says.`,
  );
}
