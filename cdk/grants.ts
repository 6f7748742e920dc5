import { ArnFormat } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { acknowledge, inFinding } from './acknowledge.ts';

/** Lets a function do something to the executions of every state machine. */
export function allowExecutions(
  handler: LambdaFunction,
  action: string,
  machines: Readonly<Record<string, StateMachine>>,
): void {
  for (const stateMachine of Object.values(machines)) {
    const executions = stateMachine.stack.formatArn({
      service: 'states',
      resource: 'execution',
      resourceName: `${stateMachine.stateMachineName}:*`,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
    allow(handler, [action], [executions]);
    const name = inFinding(stateMachine, 'Name');
    acknowledge(
      handler.role ?? handler,
      `IAM5[Resource::arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:${name}:*]`,
      "All executions of this one state machine: each has a job's id as its name.",
    );
  }
}

/** Lets a function do so. */
export function allow({ role }: LambdaFunction, actions: string[], resources: string[]): void {
  role?.addToPrincipalPolicy(new PolicyStatement({ actions, resources }));
}

/** Lets a function that is outside the VPC bring the head of a line back. */
export function letWakeLines(handler: LambdaFunction, hostQueue: Queue): void {
  handler.addEnvironment('XENSNAP_QUEUE_URL', hostQueue.queueUrl);
  allow(handler, ['sqs:ChangeMessageVisibility'], [hostQueue.queueArn]);
}
