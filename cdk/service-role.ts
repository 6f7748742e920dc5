import { Stack } from 'aws-cdk-lib';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';

/**
 * A role for a service of AWS that works for this account, and not for another one that names the role to it (the "confused
 * deputy").
 * @param service such as `lambda`
 * @param forArn where the service says it: of what alone, with `*` for any part
 */
export function serviceRole(
  scope: Construct,
  id: string,
  { service, forArn, description }: { service: string; forArn?: string; description?: string },
): Role {
  return new Role(scope, id, {
    assumedBy: new ServicePrincipal(`${service}.amazonaws.com`, {
      conditions: {
        StringEquals: { 'aws:SourceAccount': Stack.of(scope).account },
        ...(forArn !== undefined && { ArnLike: { 'aws:SourceArn': forArn } }),
      },
    }),
    ...(description !== undefined && { description }),
  });
}
