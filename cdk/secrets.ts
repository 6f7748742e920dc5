import { ArnFormat, CfnOutput, Fn, RemovalPolicy, Stack } from 'aws-cdk-lib';
import type { Role } from 'aws-cdk-lib/aws-iam';
import { type CfnSecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import { idOf, type Settings } from './config.ts';
import { secretsOf } from './functions-config.ts';

/** The secrets as the functions' rights and environment name them. Neither grows with the number of pools. */
export interface Secrets {
  /** What the names of those that the stack made begin with; the functions' configuration says what follows. */
  readonly prefix: string;
  /** ARNs that a role may read to log in there. */
  readonly readable: (of: 'pool' | 'glance') => string[];
  /** Says why a role that reads them names them by a wildcard. */
  readonly acknowledge: (role: Role) => void;
}

/** The secrets that the configuration names, and empty ones for those that it does not; their ARNs are outputs. */
export function createSecrets(scope: Construct, settings: Settings): Secrets {
  const all = secretsOf(settings);
  const prefix = prefixOf(scope, settings);
  for (const { name, what, arn } of all) {
    if (arn !== undefined) continue;
    const id = `Secret${idOf(name)}`;
    const secret = new Secret(scope, id, {
      secretName: prefix + name,
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
  }
  return {
    prefix,
    readable(of) {
      const some = all.filter((secret) => secret.of === of);
      const named = some.flatMap(({ arn }) => (arn === undefined ? [] : [arn]));
      return named.length === some.length ? named : [...named, ownArns(scope, prefix, of)];
    },
    acknowledge(role) {
      for (const kind of ['pool', 'glance'])
        acknowledge(
          role,
          `IAM5[Resource::${inFinding(settings, kind)}]`,
          'All of these are logins that it needs.',
        );
    },
  };
}

/**
 * What no other stack's secrets begin with, not even those that an earlier one of the same installation left: it holds
 * the stack's own UUID.
 */
function prefixOf(scope: Construct, { installation }: Settings): string {
  const uuid = Fn.select(2, Fn.split('/', Stack.of(scope).stackId));
  return `xensnap/${installation}/${uuid}/`;
}

/** All that the stack made of a kind: one by one they would fill a role's policy. */
function ownArns(scope: Construct, prefix: string, of: string): string {
  return Stack.of(scope).formatArn({
    service: 'secretsmanager',
    resource: 'secret',
    resourceName: `${prefix}${of}/*`,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
}

/** The same, as a finding of cdk-nag has it. */
function inFinding({ installation }: Settings, of: string): string {
  const uuid = '{"Fn::Select":[2,{"Fn::Split":["/",{"Ref":"AWS::StackId"}]}]}';
  return `arn:<AWS::Partition>:secretsmanager:<AWS::Region>:<AWS::AccountId>:secret:xensnap/${installation}/${uuid}/${of}/*`;
}
