import { CfnOutput, RemovalPolicy } from 'aws-cdk-lib';
import { type CfnSecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import { idOf, type Settings } from './config.ts';
import { secretsOf } from './functions-config.ts';

/** A secret as the functions' rights and environment name it. */
export interface SecretArn {
  /** The secret's name in the functions' configuration. */
  readonly name: string;
  readonly of: 'pool' | 'glance';
  readonly arn: string;
}

/** The secrets that the configuration names, and empty ones for those that it does not; their ARNs are outputs. */
export function createSecrets(scope: Construct, settings: Settings): readonly SecretArn[] {
  return secretsOf(settings).map(({ name, of, what, arn }): SecretArn => {
    if (arn !== undefined) return { name, of, arn };
    const id = `Secret${idOf(name)}`;
    const secret = new Secret(scope, id, {
      description: what,
      removalPolicy: settings.retain.secrets === 'retain' ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    });
    // Empty until the operator fills it: a generated password would only look like a login.
    (secret.node.defaultChild as CfnSecret).generateSecretString = undefined;
    acknowledge(
      secret,
      'SMG4',
      "The login is the pool's or OpenStack's: whoever changes it there changes it here.",
    );
    new CfnOutput(scope, `${id}Arn`, { description: `To be filled: ${what}`, value: secret.secretArn });
    return { name, of, arn: secret.secretArn };
  });
}
