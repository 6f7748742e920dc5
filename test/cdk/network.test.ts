import { afterAll, expect, it } from 'vitest';
import { EXAMPLE, TWO_POOLS } from './settings.ts';
import { type Synthesized, synthesize, target } from './synth.ts';

const existing = synthesize(EXAMPLE);
const fresh = synthesize(TWO_POOLS);
afterAll(() => {
  existing.remove();
  fresh.remove();
});

/** What the functions' security group lets out, as `where port`. */
function egress(stack: Synthesized): string[] {
  const within = stack.one('AWS::EC2::SecurityGroup', 'Functions').Properties.SecurityGroupEgress;
  const apart = Object.entries(stack.all('AWS::EC2::SecurityGroupEgress'))
    .filter(([path]) => path.startsWith('Functions/'))
    .map(([, { Properties }]) => Properties);
  return [...within, ...apart].map((rule) => {
    expect(rule).toMatchObject({ IpProtocol: 'tcp', FromPort: rule.ToPort });
    const { CidrIp, CidrIpv6, DestinationPrefixListId: list, DestinationSecurityGroupId: group } = rule;
    return `${CidrIp ?? CidrIpv6 ?? (list ? 'prefix list' : group && target(group)?.replace(/[0-9A-F]{8}$/, ''))} ${rule.ToPort}`;
  });
}

it('lets the functions out to the pools, Glance, Keystone and the endpoints only', () => {
  const services = ['XensnapEndpoints 443', 'prefix list 443'];
  expect(egress(existing).sort()).toEqual(
    ['10.20.0.11/32 443', '10.20.0.12/32 443', '10.30.0.5/32 9292', ...services].sort(),
  );
  const pools = ['10.1.0.11/32 443', '10.1.0.12/32 8443', '10.2.0.0/28 443', 'fd00:2::/64 443'];
  expect(egress(fresh).sort()).toEqual(
    [...pools, '10.3.0.5/32 9292', '10.3.0.6/32 5000', ...services].sort(),
  );
});

it.each([
  ['a VPC that is there', existing],
  ['a new one', fresh],
])('in %s: no NAT, no internet, and the endpoints that are needed', (_, stack) => {
  for (const type of ['NatGateway', 'InternetGateway', 'EIP'])
    expect(stack.all(`AWS::EC2::${type}`)).toEqual({});
  const endpoints = Object.values(stack.all('AWS::EC2::VPCEndpoint')).map(({ Properties }) => {
    const [, parts] = Properties.ServiceName['Fn::Join'];
    return [Properties.VpcEndpointType, parts.at(-1)];
  });
  for (const { Properties } of Object.values(stack.all('AWS::EC2::VPCEndpoint')))
    expect(
      Properties.PolicyDocument.Statement.map(({ Condition }: { Condition: unknown }) => Condition),
    ).toEqual([{ StringEquals: { 'aws:PrincipalAccount': { Ref: 'AWS::AccountId' } } }]);
  expect(endpoints.sort()).toEqual([
    ['Gateway', '.dynamodb'],
    ['Interface', '.secretsmanager'],
    ['Interface', '.states'],
  ]);
  const ingress = Object.values(stack.all('AWS::EC2::SecurityGroupIngress'));
  expect(
    ingress.map(({ Properties }) => [Properties.FromPort, target(Properties.SourceSecurityGroupId)]),
  ).toEqual([[443, expect.stringMatching(/^XensnapFunctions/)]]);
});

it('puts the functions that reach a pool or Glance, and no others, into its subnets', () => {
  const inside = Object.entries(existing.all('AWS::Lambda::Function'))
    .filter(([, { Properties }]) => Properties.VpcConfig !== undefined)
    .map(([path, { Properties }]) => {
      expect(Properties.VpcConfig.SubnetIds).toEqual(EXAMPLE.network.existing.subnetIds);
      return path;
    });
  expect(inside).toEqual(expect.arrayContaining(['InspectVm', 'VerifyImage', 'Api', 'Reconcile', 'Janitor']));
  for (const name of ['TakeVm', 'ReleaseHost', 'Admit']) expect(inside).not.toContain(name);
});

it('leaves out endpoints that the VPC has, and reaches them there', () => {
  const { existing: vpc } = EXAMPLE.network;
  const stack = synthesize({
    ...EXAMPLE,
    network: { existing: { ...vpc, endpoints: ['states'], dynamodbPrefixListId: 'pl-0a1b' } },
  });
  stack.remove();
  expect(Object.keys(stack.all('AWS::EC2::VPCEndpoint'))).toHaveLength(1);
  expect(egress(stack)).toContain('10.10.0.0/16 443');
  expect(stack.all('Custom::AWS')).toEqual({});
});

it('leads a new VPC to the premises, by a VPN and by a transit gateway', () => {
  expect(Object.values(fresh.all('AWS::EC2::VPNConnection'))).toHaveLength(1);
  expect(Object.values(fresh.all('AWS::EC2::VPNGatewayRoutePropagation'))).toHaveLength(1);
  expect(
    Object.values(fresh.all('AWS::EC2::TransitGatewayVpcAttachment'))[0]?.Properties.TransitGatewayId,
  ).toBe('tgw-0a1b2c3d');
  const routes = Object.values(fresh.all('AWS::EC2::Route'));
  expect(routes.map(({ Properties }) => Properties.DestinationCidrBlock)).toEqual([
    '10.3.0.0/16',
    '10.3.0.0/16',
  ]);
  expect(
    Object.values(fresh.all('AWS::EC2::Subnet')).map(({ Properties }) => Properties.MapPublicIpOnLaunch),
  ).toEqual([false, false]);
});

it.each([1, 2, 3])('makes a subnet in each of %i zones', (zones) => {
  const stack = synthesize({ ...TWO_POOLS, network: { new: { ...TWO_POOLS.network.new, zones } } });
  const subnets = Object.values(stack.all('AWS::EC2::Subnet')).map(
    ({ Properties }) => Properties.AvailabilityZone,
  );
  expect(subnets).toEqual(
    Array.from({ length: zones }, (_, index) => ({ 'Fn::Select': [index, { 'Fn::GetAZs': '' }] })),
  );
  stack.remove();
});
