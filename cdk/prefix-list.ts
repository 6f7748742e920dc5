import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { AwsCustomResource, AwsCustomResourcePolicy, PhysicalResourceId } from 'aws-cdk-lib/custom-resources';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import { serviceRole } from './service-role.ts';

/**
 * The id of DynamoDB's prefix list, which differs in each region; asked when deploying, since a look-up at synth needs
 * an account.
 */
export function dynamodbPrefixList(scope: Construct): string {
  const name = `com.amazonaws.${Stack.of(scope).region}.dynamodb`;
  const logGroup = new LogGroup(scope, 'DynamodbPrefixListLog', {
    retention: RetentionDays.ONE_WEEK,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  const role = serviceRole(scope, 'DynamodbPrefixListRole', { service: 'lambda' });
  role.addToPolicy(
    new PolicyStatement({
      actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      resources: [logGroup.logGroupArn],
    }),
  );
  const resource = new AwsCustomResource(scope, 'DynamodbPrefixList', {
    onUpdate: {
      service: 'EC2',
      action: 'describeManagedPrefixLists',
      parameters: { Filters: [{ Name: 'prefix-list-name', Values: [name] }] },
      outputPaths: ['PrefixLists.0.PrefixListId'],
      physicalResourceId: PhysicalResourceId.of(name),
    },
    policy: AwsCustomResourcePolicy.fromStatements([
      new PolicyStatement({ actions: ['ec2:DescribeManagedPrefixLists'], resources: ['*'] }),
    ]),
    installLatestAwsSdk: false,
    role,
    logGroup,
  });
  acknowledge(resource, 'IAM5[Resource::*]', 'A list of prefix lists takes no resource.');
  return resource.getResponseField('PrefixLists.0.PrefixListId');
}
