import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Architecture, Code, Function as LambdaFunction, Runtime, Tracing } from 'aws-cdk-lib/aws-lambda';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import { bundledCode } from './bundle.ts';
import type { Settings } from './config.ts';
import type { Network } from './network.ts';
import type { Secrets } from './secrets.ts';
import { serviceRole } from './service-role.ts';
import type { TableRights } from './table-rights.ts';

/** What every function of the stack is made with. */
export interface Surroundings {
  readonly settings: Settings;
  /** The functions' configuration, as JSON text. */
  readonly config: string;
  readonly network: Network;
  readonly secrets: Secrets;
  readonly tableRights: TableRights;
  readonly tableName: string;
}

/** One function. */
export interface FunctionSettings {
  /** Path in functions/, without `.ts`; null where only versions that are there already are called. */
  readonly entry: string | null;
  readonly description: string;
  readonly memoryMib: number;
  readonly seconds: number;
  /** What it reaches outside AWS: then it is in the VPC and may read that secret. */
  readonly reaches: readonly ('pool' | 'glance')[];
  /** What it does to the table, such as `GetItem`. */
  readonly table: readonly string[];
  /** Indexes that it queries. */
  readonly indexes?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** How many of it may run at once, where places are reserved: nobody else takes them, and it takes no more. */
  readonly atOnce?: number;
  /** Starts no trace of its own: what it does is only seen as a part of a trace that reaches it. */
  readonly onlyJoinsTraces?: boolean;
}

/** Makes a function with a role of its own, which may do what the settings say and nothing else. */
export function createFunction(
  scope: Construct,
  id: string,
  surroundings: Surroundings,
  given: FunctionSettings,
): LambdaFunction {
  const { settings, config, network, secrets, tableRights, tableName } = surroundings;
  const logGroup = new LogGroup(scope, `${id}Log`, {
    retention: settings.logDays,
    removalPolicy: settings.retain.logs === 'retain' ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
  });
  const role = serviceRole(scope, `${id}Role`, {
    service: 'lambda',
    description: `${given.description}: what it may do`,
  });
  const may = (actions: string[], resources: string[]) =>
    role.addToPolicy(new PolicyStatement({ actions, resources }));
  may(['logs:CreateLogStream', 'logs:PutLogEvents'], [logGroup.logGroupArn]);
  acknowledge(role, 'IAM5[Resource::*]', 'The actions of X-Ray and of network interfaces take no resource.');
  const inVpc = given.reaches.length > 0;
  if (inVpc) {
    may(NETWORK_INTERFACES, ['*']);
    may(['secretsmanager:GetSecretValue'], given.reaches.flatMap(secrets.readable));
    secrets.acknowledge(role);
  }
  for (const { actions, resources } of tableRights(given.table, given.indexes ?? [])) may(actions, resources);
  return new LambdaFunction(scope, id, {
    description: given.description,
    code: given.entry === null ? NEVER_CALLED : bundledCode(given.entry, { 'config.json': config }),
    handler: 'index.handler',
    runtime: Runtime.NODEJS_24_X,
    architecture: Architecture.ARM_64,
    memorySize: given.memoryMib,
    timeout: Duration.seconds(given.seconds),
    ...(settings.reserveConcurrency &&
      given.atOnce !== undefined && { reservedConcurrentExecutions: given.atOnce }),
    tracing: given.onlyJoinsTraces ? Tracing.PASS_THROUGH : Tracing.ACTIVE,
    role,
    logGroup,
    // Kept for the jobs that call them. Not of a deployment that is rolled back: made again, the same code would be refused.
    currentVersionOptions: { removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE },
    environment: {
      NODE_OPTIONS: '--enable-source-maps',
      XENSNAP_CONFIG_FILE: 'config.json',
      ...(inVpc && { XENSNAP_SECRET_PREFIX: secrets.prefix }),
      XENSNAP_TABLE: tableName,
      ...given.environment,
    },
    ...(inVpc && {
      vpc: network.vpc,
      vpcSubnets: { subnets: network.subnets },
      securityGroups: [network.securityGroup],
    }),
  });
}

/** For functions of which only earlier versions are called. */
const NEVER_CALLED = Code.fromInline(
  "exports.handler = async () => { throw new Error('Only versions of the last release are called.'); };",
);

/** What Lambda itself does in a function's name to put it into a VPC; the resources are not known beforehand. */
const NETWORK_INTERFACES = [
  'ec2:AssignPrivateIpAddresses',
  'ec2:CreateNetworkInterface',
  'ec2:DeleteNetworkInterface',
  'ec2:DescribeNetworkInterfaces',
  'ec2:DescribeSubnets',
  'ec2:UnassignPrivateIpAddresses',
];
