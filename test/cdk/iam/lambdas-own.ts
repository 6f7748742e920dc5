import type { AwsCalls } from '../aws-calls.ts';
import type { Resolve } from '../resolved.ts';

/** What Lambda's documentation says that the role of a function in a VPC must allow. */
const NETWORK_INTERFACES = [
  'AssignPrivateIpAddresses',
  'CreateNetworkInterface',
  'DeleteNetworkInterface',
  'DescribeNetworkInterfaces',
  'DescribeSubnets',
  'UnassignPrivateIpAddresses',
];

interface Properties {
  readonly LoggingConfig: { readonly LogGroup: unknown };
  readonly TracingConfig?: object;
  readonly VpcConfig?: object;
}

/** Puts on record what Lambda does with a function's role to run it, which no stand-in does: logs, traces, its network. */
export function noteLambdasOwn(
  caller: string,
  { LoggingConfig, TracingConfig, VpcConfig }: Properties,
  resolve: Resolve,
  calls: Pick<AwsCalls, 'note'>,
): void {
  const note = (action: string, resource: string) => calls.note({ caller, action, resource, byLambda: true });
  const group = resolve<string>({ 'Fn::GetAtt': [(LoggingConfig.LogGroup as { Ref: string }).Ref, 'Arn'] });
  for (const action of ['CreateLogStream', 'PutLogEvents'])
    note(`logs:${action}`, group.replace(/\*$/, 'log-stream:2026/11/29/[$LATEST]0'));
  // Also of a function that only joins traces.
  if (TracingConfig)
    for (const action of ['PutTraceSegments', 'PutTelemetryRecords']) note(`xray:${action}`, '*');
  if (VpcConfig) for (const action of NETWORK_INTERFACES) note(`ec2:${action}`, '*');
}
