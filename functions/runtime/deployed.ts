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

/**
 * What Secrets Manager calls a secret of the configuration, which names it by its ARN or, where the deployment made it,
 * by what follows the deployment's own prefix.
 */
export function secretNames({
  XENSNAP_SECRET_PREFIX: prefix = '',
}: Environment): (secretId: string) => string {
  return (secretId) => (secretId.startsWith('arn:') ? secretId : prefix + secretId);
}
