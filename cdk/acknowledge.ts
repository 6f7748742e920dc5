import { type CfnElement, Stack, Validations } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/** Acknowledges a finding of AWS's rules for solutions (cdk-nag), such as `SQS3`, at a construct and below it. */
export function acknowledge(construct: IConstruct, rule: string, reason: string): void {
  Validations.of(construct).acknowledge({ id: `AwsSolutions::AwsSolutions-${rule}`, reason });
}

/** How a finding names the attribute of a resource, such as its ARN. */
export function inFinding(resource: IConstruct, attribute: string): string {
  return `<${Stack.of(resource).getLogicalId(resource.node.defaultChild as CfnElement)}.${attribute}>`;
}
