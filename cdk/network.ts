import { Stack } from 'aws-cdk-lib';
import {
  GatewayVpcEndpointAwsService,
  InterfaceVpcEndpointAwsService,
  type ISubnet,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { AnyPrincipal, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import type { Settings } from './config.ts';
import type { ENDPOINTS, ExistingNetwork } from './network-config.ts';
import { createVpc } from './new-vpc.ts';
import { dynamodbPrefixList } from './prefix-list.ts';
import { refuseTooMany, refuseWithin, targetsOf } from './targets.ts';

/** Where the functions are that reach a pool or Glance. */
export interface Network {
  readonly vpc: IVpc;
  readonly subnets: ISubnet[];
  readonly securityGroup: SecurityGroup;
}

const INTERFACES = {
  secretsmanager: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
  states: InterfaceVpcEndpointAwsService.STEP_FUNCTIONS,
};
const HTTPS = Port.tcp(443);

/** The VPC with the endpoints, no NAT, and a security group that lets the functions reach nothing else. */
export function createNetwork(scope: Construct, settings: Settings): Network {
  const { existing, new: fresh } = settings.network;
  const vpc = fresh ? createVpc(scope, fresh) : existing ? importVpc(scope, existing) : undefined;
  if (!vpc) throw new Error('the configuration was not checked');
  const subnets = fresh ? vpc.isolatedSubnets : vpc.privateSubnets;
  const securityGroup = new SecurityGroup(scope, 'Functions', {
    vpc,
    allowAllOutbound: false,
    description: 'xensnap: functions that reach pools, Glance and Keystone',
  });
  const targets = targetsOf(settings);
  refuseTooMany(targets, settings);
  if (fresh) refuseWithin(fresh.cidr, targets);
  for (const { cidr, port, what } of targets)
    securityGroup.addEgressRule(cidr.includes(':') ? Peer.ipv6(cidr) : Peer.ipv4(cidr), Port.tcp(port), what);
  const wanted: readonly (typeof ENDPOINTS)[number][] = existing?.endpoints ?? [
    'dynamodb',
    'secretsmanager',
    'states',
  ];
  addEndpoints(scope, { vpc, subnets, securityGroup }, wanted);
  const prefixList = (existing ?? fresh)?.dynamodbPrefixListId ?? dynamodbPrefixList(scope);
  securityGroup.addEgressRule(Peer.prefixList(prefixList), HTTPS, 'DynamoDB, by its gateway endpoint');
  if (existing && Object.keys(INTERFACES).some((name) => !(wanted as readonly string[]).includes(name)))
    securityGroup.addEgressRule(Peer.ipv4(existing.vpcCidr), HTTPS, 'endpoints that the VPC has already');
  return { vpc, subnets, securityGroup };
}

function importVpc(scope: Construct, network: ExistingNetwork): IVpc {
  return Vpc.fromVpcAttributes(scope, 'Vpc', {
    vpcId: network.vpcId,
    vpcCidrBlock: network.vpcCidr,
    availabilityZones: network.availabilityZones,
    privateSubnetIds: network.subnetIds,
    privateSubnetRouteTableIds: network.routeTableIds,
  });
}

function addEndpoints(
  scope: Construct,
  { vpc, subnets, securityGroup }: Network,
  wanted: readonly (typeof ENDPOINTS)[number][],
): void {
  if (wanted.includes('dynamodb'))
    vpc
      .addGatewayEndpoint('DynamodbEndpoint', {
        service: GatewayVpcEndpointAwsService.DYNAMODB,
        subnets: [{ subnets }],
      })
      .addToPolicy(ofThisAccount(vpc));
  const interfaces = Object.entries(INTERFACES).filter(([name]) =>
    (wanted as readonly string[]).includes(name),
  );
  if (interfaces.length === 0) return;
  const group = new SecurityGroup(scope, 'Endpoints', {
    vpc,
    allowAllOutbound: false,
    description: 'xensnap: endpoints of AWS services',
  });
  group.addIngressRule(securityGroup, HTTPS, 'functions');
  securityGroup.addEgressRule(group, HTTPS, 'endpoints of AWS services');
  for (const [name, service] of interfaces)
    vpc
      .addInterfaceEndpoint(`${name}Endpoint`, {
        service,
        subnets: { subnets },
        securityGroups: [group],
        open: false,
      })
      .addToPolicy(ofThisAccount(vpc));
}

/** Lets nobody through with another account's credentials. What this account's may do, their own policies say. */
function ofThisAccount(vpc: IVpc): PolicyStatement {
  return new PolicyStatement({
    principals: [new AnyPrincipal()],
    actions: ['*'],
    resources: ['*'],
    conditions: { StringEquals: { 'aws:PrincipalAccount': Stack.of(vpc).account } },
  });
}
