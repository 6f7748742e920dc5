import { Fn, RemovalPolicy, Stack } from 'aws-cdk-lib';
import {
  CfnRoute,
  CfnTransitGatewayVpcAttachment,
  FlowLogDestination,
  FlowLogTrafficType,
  IpAddresses,
  type IVpc,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { NewNetwork } from './network-config.ts';
import { serviceRole } from './service-role.ts';

/** A VPC of private subnets without a way to the internet, and the ways to a pool on premises. */
export function createVpc(scope: Construct, { cidr, zones, vpn, transitGateway }: NewNetwork): IVpc {
  const isolated = { subnetType: SubnetType.PRIVATE_ISOLATED };
  const vpc = new Vpc(scope, 'Vpc', {
    ipAddresses: IpAddresses.cidr(cidr),
    // Zones are given by number: `maxAzs` makes at most two where the stack is not for one account and region.
    availabilityZones: Array.from({ length: zones }, (_, index) => Fn.select(index, Fn.getAzs())),
    natGateways: 0,
    subnetConfiguration: [{ name: 'Functions', ...isolated }],
    // Logs what the security group refuses, which is how a wrong address shows.
    flowLogs: {
      Refused: {
        trafficType: FlowLogTrafficType.REJECT,
        destination: FlowLogDestination.toCloudWatchLogs(
          new LogGroup(scope, 'RefusedTraffic', {
            retention: RetentionDays.TWO_WEEKS,
            removalPolicy: RemovalPolicy.DESTROY,
          }),
          serviceRole(scope, 'RefusedTrafficRole', {
            service: 'vpc-flow-logs',
            forArn: Stack.of(scope).formatArn({
              service: 'ec2',
              resource: 'vpc-flow-log',
              resourceName: '*',
            }),
          }),
        ),
      },
    },
    ...(vpn && {
      vpnConnections: {
        OnPremises: {
          ip: vpn.customerGatewayIp,
          asn: vpn.asn,
          ...(vpn.routes.length > 0 && { staticRoutes: vpn.routes }),
        },
      },
      vpnRoutePropagation: [isolated],
    }),
  });
  if (transitGateway) attach(scope, vpc, transitGateway);
  // The library's own class does not fit its interface where optional properties are exact.
  return vpc as IVpc;
}

function attach(scope: Construct, vpc: Vpc, { id, routes }: NonNullable<NewNetwork['transitGateway']>): void {
  const attachment = new CfnTransitGatewayVpcAttachment(scope, 'TransitGateway', {
    transitGatewayId: id,
    vpcId: vpc.vpcId,
    subnetIds: vpc.isolatedSubnets.map(({ subnetId }) => subnetId),
  });
  for (const [index, subnet] of vpc.isolatedSubnets.entries())
    for (const [number, destinationCidrBlock] of routes.entries())
      new CfnRoute(scope, `RouteOnPremises${index}x${number}`, {
        routeTableId: subnet.routeTable.routeTableId,
        destinationCidrBlock,
        transitGatewayId: id,
      }).addResourceDependency(attachment);
}
