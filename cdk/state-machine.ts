import { readFileSync } from 'node:fs';
import { Fn, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { DefinitionBody, LogLevel, StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { acknowledge, inFinding } from './acknowledge.ts';
import type { Settings } from './config.ts';
import type { StepFunctions } from './steps.ts';

const DEFINITION = readFileSync(new URL('../statemachine/snapshot.asl.json', import.meta.url), 'utf8');

/**
 * The state machine out of its file. Each step is called by its version, so that a running job keeps the code that it
 * started with; the right to call it is on the function and covers its versions, old ones too.
 */
export function createStateMachine(
  scope: Construct,
  settings: Settings,
  steps: StepFunctions,
  hostQueue: Queue,
): StateMachine {
  const role = new Role(scope, 'StateMachineRole', {
    assumedBy: new ServicePrincipal('states.amazonaws.com'),
  });
  for (const step of Object.values(steps)) {
    role.addToPolicy(
      new PolicyStatement({
        actions: ['lambda:InvokeFunction'],
        resources: [step.functionArn, `${step.functionArn}:*`],
      }),
    );
    const versions = `IAM5[Resource::${inFinding(step, 'Arn')}:*]`;
    acknowledge(
      role,
      versions,
      'The versions of this one function: running jobs call the one they started with.',
    );
  }
  acknowledge(role, 'IAM5[Resource::*]', 'The actions of log delivery and of X-Ray take no resource.');
  role.addToPolicy(new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [hostQueue.queueArn] }));
  const stateMachine = new StateMachine(scope, 'StateMachine', {
    comment: 'xensnap: one snapshot of one VM into Glance',
    definitionBody: DefinitionBody.fromString(DEFINITION),
    definitionSubstitutions: {
      HostQueueUrl: hostQueue.queueUrl,
      ...Object.fromEntries(
        Object.entries(steps).map(([name, step]) => [`${name}Arn`, step.currentVersion.functionArn]),
      ),
    },
    role,
    tracingEnabled: true,
    logs: {
      // A log group of this prefix needs no entry in the region's resource policy, whose size is limited. The end is
      // of this stack's id, so that a group which an earlier stack left is not in the way.
      destination: new LogGroup(scope, 'StateMachineLog', {
        logGroupName: `/aws/vendedlogs/states/xensnap-${settings.installation}-${Fn.select(2, Fn.split('/', Stack.of(scope).stackId))}`,
        retention: settings.logDays,
        removalPolicy: settings.retain.logs === 'retain' ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
      }),
      level: LogLevel.ERROR,
      includeExecutionData: false,
    },
  });
  acknowledge(
    stateMachine,
    'SF1',
    'Errors are logged; every event is in the history, for ninety days and without a price.',
  );
  return stateMachine;
}
