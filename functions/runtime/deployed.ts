import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Environment, required } from './environment.ts';

/**
 * The configuration's text: from the variable, or, in Lambda, whose environment holds no more than 4 KiB, from a
 * file beside the code. Throws an error that names the variable when there is neither.
 */
export function configText(env: Environment): string {
  const { XENSNAP_CONFIG_FILE: file, LAMBDA_TASK_ROOT: folder = '.' } = env;
  if (env.XENSNAP_CONFIG === undefined && file) return readFileSync(join(folder, file), 'utf8');
  return required(env, 'XENSNAP_CONFIG');
}

/** What Secrets Manager calls a secret of the configuration: only the deployment knows the ARNs. */
export function secretNames({ XENSNAP_SECRETS: json = '{}' }: Environment): (secretId: string) => string {
  const arns: Record<string, string> = JSON.parse(json);
  return (secretId) => arns[secretId] ?? secretId;
}
