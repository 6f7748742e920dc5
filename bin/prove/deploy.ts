import { CannotTell, type Check, expect } from './check.ts';

interface Configuration {
  readonly FunctionName: string;
  readonly Runtime: string;
  readonly Architectures: readonly string[];
  readonly LastUpdateStatus?: string;
}

export const DEPLOY: readonly Check[] = [
  {
    line: 'the stack is deployed, and no deployment of it was rolled back',
    async run({ stack: { status } }) {
      expect(['CREATE_COMPLETE', 'UPDATE_COMPLETE'].includes(status), `it is ${status}`);
      return status;
    },
  },
  {
    line: 'every function runs on nodejs24.x and arm64',
    async run({ aws, stack }) {
      const functions = [...stack.all('AWS::Lambda::Function').values()];
      for (const name of functions) {
        const made = await aws<Configuration>(
          'lambda',
          'get-function-configuration',
          '--function-name',
          name,
        );
        const is = `${made.Runtime} on ${made.Architectures.join()}, ${made.LastUpdateStatus}`;
        expect(is === 'nodejs24.x on arm64, Successful', `${name}: ${is}`);
      }
      expect(functions.length > 0, 'the stack has none');
      return `${functions.length} functions`;
    },
  },
  {
    line: 'every secret that the stack has made has a value',
    async run({ aws, stack }) {
      const secrets = [...stack.all('AWS::SecretsManager::Secret').values()];
      if (secrets.length === 0) throw new CannotTell('it has made none: its settings name others');
      for (const secret of secrets) {
        const { VersionIdsToStages = {} } = await aws<{ VersionIdsToStages?: Record<string, string[]> }>(
          'secretsmanager',
          'describe-secret',
          '--secret-id',
          secret,
        );
        expect(
          Object.values(VersionIdsToStages).flat().includes('AWSCURRENT'),
          `${secret} is empty: fill it`,
        );
      }
      return `${secrets.length} secrets`;
    },
  },
  {
    line: 'somebody is told of alarms',
    async run({ aws, stack }) {
      const { Attributes } = await aws<{ Attributes: Record<string, string> }>(
        'sns',
        'get-topic-attributes',
        '--topic-arn',
        stack.one('AWS::SNS::Topic', 'AlarmTopic'),
      );
      const pending = Number(Attributes.SubscriptionsPending);
      expect(
        Number(Attributes.SubscriptionsConfirmed) > 0,
        pending > 0 ? 'nobody has confirmed the e-mail yet' : 'nobody has subscribed to the topic',
      );
      return undefined;
    },
  },
  {
    line: 'the account runs enough functions at once',
    async run({ aws }) {
      const { AccountLimit } = await aws<{ AccountLimit: { ConcurrentExecutions: number } }>(
        'lambda',
        'get-account-settings',
      );
      const places = AccountLimit.ConcurrentExecutions;
      expect(places >= 100, `it has ${places} places for all its functions: ask for more (quota L-B99A9384)`);
      return `${places} at once`;
    },
  },
];

export const NETWORK: readonly Check[] = [
  {
    line: 'the stack has made no NAT gateway',
    async run({ aws, stack }) {
      const made = [...stack.all('AWS::EC2::NatGateway').values()];
      expect(made.length === 0, `there is ${made.join()}`);
      const { NatGateways } = await aws<{ NatGateways: { State: string; NatGatewayId: string }[] }>(
        'ec2',
        'describe-nat-gateways',
        '--filter',
        // CloudFormation's own tag on whatever a stack makes.
        `Name=tag:aws:cloudformation:stack-name,Values=${stack.name}`,
      );
      const alive = NatGateways.filter(({ State }) => State !== 'deleted').map(
        ({ NatGatewayId }) => NatGatewayId,
      );
      expect(alive.length === 0, `there is ${alive.join()}`);
      return undefined;
    },
  },
  {
    line: 'the VPC has DNS support and DNS hostnames, and endpoints of DynamoDB, Secrets Manager and Step Functions',
    async run({ aws, stack }) {
      const { VpcConfig } = await aws<{ VpcConfig?: { VpcId: string } }>(
        'lambda',
        'get-function-configuration',
        '--function-name',
        stack.one('AWS::Lambda::Function', 'InspectVm'),
      );
      if (!VpcConfig) throw new CannotTell('InspectVm is in no VPC');
      const vpc = VpcConfig.VpcId;
      for (const attribute of ['enableDnsSupport', 'enableDnsHostnames']) {
        const answer = await aws<Record<string, unknown>>(
          'ec2',
          'describe-vpc-attribute',
          '--vpc-id',
          vpc,
          '--attribute',
          attribute,
        );
        expect(JSON.stringify(answer).includes('"Value":true'), `${vpc} has no ${attribute}`);
      }
      const { VpcEndpoints } = await aws<{ VpcEndpoints: { ServiceName: string; State: string }[] }>(
        'ec2',
        'describe-vpc-endpoints',
        '--filters',
        `Name=vpc-id,Values=${vpc}`,
      );
      for (const service of ['dynamodb', 'secretsmanager', 'states']) {
        const states = VpcEndpoints.filter(({ ServiceName }) => ServiceName.endsWith(`.${service}`)).map(
          ({ State }) => State.toLowerCase(),
        );
        expect(states.includes('available'), `${service}: ${states.join() || 'no endpoint'}`);
      }
      return vpc;
    },
  },
];
