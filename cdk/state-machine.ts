import { ArnFormat, Fn, RemovalPolicy, Stack } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { DefinitionBody, LogLevel, StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { MACHINES, type MachineName, type StepName } from '../statemachine/contract.ts';
import { acknowledge, inFinding } from './acknowledge.ts';
import type { Settings } from './config.ts';
import { definitionOf } from './definition.ts';
import { serviceRole } from './service-role.ts';
import type { StepFunctions } from './steps.ts';

/** The state machines by the kind of their jobs. */
export type StateMachines = Readonly<Record<MachineName, StateMachine>>;

/** What each is called in the stack, and what it says of itself. */
const NAMES = {
  snapshot: { id: 'StateMachine', comment: 'xensnap: one snapshot of one VM into Glance' },
  restore: { id: 'RestoreMachine', comment: 'xensnap: one restore of one image into a pool' },
} as const satisfies Record<MachineName, { id: string; comment: string }>;

/** What the state machines call. */
interface Called {
  readonly steps: StepFunctions;
  /** Called by executions of the last release alone. */
  readonly retired: readonly LambdaFunction[];
  readonly hostQueue: Queue;
}

/** A state machine out of each document. */
export function createStateMachines(scope: Construct, settings: Settings, called: Called): StateMachines {
  const made = (Object.keys(MACHINES) as MachineName[]).map((machine): [MachineName, StateMachine] => [
    machine,
    createStateMachine(scope, settings, { machine, ...called }),
  ]);
  return Object.fromEntries(made) as Record<MachineName, StateMachine>;
}

/** The environment of a function that starts, looks at or stops jobs. */
export function machineEnvironment({ snapshot, restore }: StateMachines): Record<string, string> {
  return {
    XENSNAP_STATE_MACHINE_ARN: snapshot.stateMachineArn,
    XENSNAP_RESTORE_MACHINE_ARN: restore.stateMachineArn,
  };
}

/** The ARNs of all of them. */
export function machineArns(machines: StateMachines): string[] {
  return Object.values(machines).map(({ stateMachineArn }) => stateMachineArn);
}

/**
 * A state machine out of its file. Each step is called by its version, so that a running job keeps the code that it
 * started with; the right to call it is on the function and covers its versions, old ones too.
 */
function createStateMachine(
  scope: Construct,
  settings: Settings,
  { machine, steps: all, retired, hostQueue }: Called & { machine: MachineName },
): StateMachine {
  const { id, comment } = NAMES[machine];
  const { forward, cleanup }: { forward: readonly StepName[]; cleanup: readonly StepName[] } =
    MACHINES[machine];
  const steps = Object.fromEntries([...forward, ...cleanup].map((name) => [name, all[name]]));
  const role = serviceRole(scope, `${id}Role`, {
    service: 'states',
    // The machine's own name would be a circle.
    forArn: Stack.of(scope).formatArn({
      service: 'states',
      resource: 'stateMachine',
      resourceName: '*',
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    }),
  });
  for (const step of [...Object.values(steps), ...retired]) {
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
  const stateMachine = new StateMachine(scope, id, {
    comment,
    definitionBody: DefinitionBody.fromString(definitionOf(machine)),
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
      destination: new LogGroup(scope, `${id}Log`, {
        logGroupName: `/aws/vendedlogs/states/xensnap-${settings.installation}${machine === 'snapshot' ? '' : `-${machine}`}-${Fn.select(2, Fn.split('/', Stack.of(scope).stackId))}`,
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
