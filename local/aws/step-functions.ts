import { StateMachine } from 'aws-local-stepfunctions';
import type { LocalClock } from '../clock.ts';
import { unsupportedFeatures } from './asl-support.ts';
import {
  epochSeconds,
  type LocalServer,
  type Operation,
  requiredString,
  ServiceError,
  serveJson,
} from './json-service.ts';
import { describe, summary } from './states/descriptions.ts';
import { executions } from './states/executions.ts';
import { withoutData } from './states/history.ts';
import { page } from './states/paging.ts';
import { checkJson, executionName, text } from './states/requests.ts';
import type { StatusChangeEvent } from './states/status-event.ts';
import type { Handler, SendMessage } from './states/tasks.ts';
import { taskTokens } from './states/tokens.ts';
import { type Asl, mapStrings, statesOf } from './states/walk.ts';

export interface StepFunctionsOptions {
  /**
   * The ASL document of each state machine, by its name; a task's Resource may be a placeholder, others must be replaced
   * (see `substitute`).
   */
  readonly definitions: Readonly<Record<string, Asl>>;
  /** A handler for each Lambda task, by the state's name, in whichever machine. */
  readonly resources: Record<string, Handler>;
  readonly sendMessage: SendMessage;
  readonly clock: LocalClock;
  /** How much faster than real time a task's TimeoutSeconds and a Lambda's own pass; default: as fast as the clock. */
  readonly timeoutSpeed?: number;
  /** Seconds after which Lambda ends a handler, by the state's name; a handler that is not named may run on. */
  readonly lambdaSeconds?: Record<string, number>;
  /** Waits, by the state's name, that take this many of the clock's seconds whatever the document says. */
  readonly waitSeconds?: Record<string, number>;
  /** How many executions that have ended are remembered; default 1,000. */
  readonly keepClosed?: number;
  readonly onStatusChange?: (event: StatusChangeEvent) => void;
  /** Called when a state is entered, before its handler starts. */
  readonly onState?: (executionName: string, stateName: string) => void;
}

export interface LocalStepFunctions extends Pick<LocalServer, 'endpoint'> {
  /** The ARN of a state machine by its name. */
  arnOf(machine: string): string;
  /** Stops every execution. */
  close(): Promise<void>;
}

const PLACEHOLDER_ARN = 'arn:aws:lambda:us-east-1:000000000000:function:placeholder';

/** The document cannot run here as it would in AWS. */
export class UnsupportedDefinitionError extends Error {
  override readonly name = 'UnsupportedDefinitionError';
}

/**
 * Serves the part of the Step Functions API that xensnap uses, for a few state machines, within this process. Executions
 * live in memory only: a service that starts anew remembers none.
 * @throws UnsupportedDefinitionError when the document is invalid, uses what the engine would ignore, or names a
 *   Lambda task for which there is no handler
 */
export async function startStepFunctions(options: StepFunctionsOptions): Promise<LocalStepFunctions> {
  const { resources, clock } = options;
  for (const definition of Object.values(options.definitions)) refuseUnsupported(definition, resources);
  const created = clock.now();
  const tokens = taskTokens();
  const shared = {
    timeoutSpeed: clock.speed,
    lambdaSeconds: {},
    waitSeconds: {},
    keepClosed: 1000,
    onStatusChange: () => {},
    onState: () => {},
    ...options,
    tokens,
  };
  const machines = new Map(
    Object.entries(options.definitions).map(([name, definition]) => {
      const stateMachineArn = arnOf(name);
      return [
        stateMachineArn,
        { definition, running: executions({ ...shared, definition, stateMachineArn }) },
      ];
    }),
  );

  function machineOf(request: Record<string, unknown>) {
    const stateMachineArn = requiredString(request, 'stateMachineArn');
    const machine = machines.get(stateMachineArn);
    if (machine) return { ...machine, stateMachineArn };
    throw new ServiceError('StateMachineDoesNotExist', `State Machine Does Not Exist: '${stateMachineArn}'`);
  }

  function find(request: Record<string, unknown>) {
    const arn = requiredString(request, 'executionArn');
    for (const [stateMachineArn, { running }] of machines) {
      const execution = running.get(arn);
      if (execution) return { execution, running, stateMachineArn };
    }
    throw new ServiceError('ExecutionDoesNotExist', `Execution Does Not Exist: '${arn}'`);
  }

  const operations: Record<string, Operation> = {
    StartExecution(request) {
      const { running } = machineOf(request);
      const input = typeof request.input === 'string' ? request.input : '{}';
      checkJson(input, 'InvalidExecutionInput', 'Invalid State Machine Execution Input');
      const name = executionName(request.name);
      const before = running.named(name);
      if (before ? before.status !== 'RUNNING' || before.input !== input : running.isTaken(name))
        throw new ServiceError(
          'ExecutionAlreadyExists',
          `Execution Already Exists: '${running.arnOf(name)}'`,
        );
      const execution = before ?? running.start(name, input);
      return { executionArn: execution.arn, startDate: epochSeconds(execution.startDate) };
    },
    DescribeExecution(request) {
      const { execution, stateMachineArn } = find(request);
      return describe(execution, stateMachineArn);
    },
    GetExecutionHistory(request) {
      const { history } = find(request).execution;
      const events = request.includeExecutionData === false ? history.map(withoutData) : [...history];
      if (request.reverseOrder === true) events.reverse();
      const { items, nextToken } = page(events, request, 1000);
      return { events: items, nextToken };
    },
    ListExecutions(request) {
      const { running, stateMachineArn } = machineOf(request);
      const wanted = running
        .all()
        .filter(({ status }) => request.statusFilter === undefined || request.statusFilter === status);
      const { items, nextToken } = page(wanted, request, 1000);
      return { executions: items.map((execution) => summary(execution, stateMachineArn)), nextToken };
    },
    StopExecution(request) {
      const { execution, running } = find(request);
      const [error, cause] = [text(request.error), text(request.cause)];
      running.stop(execution, {
        ...(error !== undefined && { error }),
        ...(cause !== undefined && { cause }),
      });
      return { stopDate: epochSeconds(execution.stopDate ?? clock.now()) };
    },
    SendTaskSuccess(request) {
      const output = checkJson(requiredString(request, 'output'), 'InvalidOutput', 'Invalid Output');
      tokens.succeed(requiredString(request, 'taskToken'), output);
    },
    SendTaskFailure(request) {
      tokens.fail(requiredString(request, 'taskToken'), text(request.error) ?? '', text(request.cause) ?? '');
    },
    DescribeStateMachine(request) {
      const { definition, stateMachineArn } = machineOf(request);
      return {
        stateMachineArn,
        name: stateMachineArn.split(':').at(-1),
        status: 'ACTIVE',
        type: 'STANDARD',
        definition: JSON.stringify(definition),
        roleArn: 'arn:aws:iam::000000000000:role/local',
        creationDate: epochSeconds(created),
      };
    },
  };
  const server = serveJson({ target: 'AWSStepFunctions', version: '1.0', operations });
  return {
    endpoint: server.endpoint,
    arnOf,
    async close() {
      server.close();
      await Promise.all([...machines.values()].map(({ running }) => running.close()));
    },
  };
}

function arnOf(machine: string): string {
  return `arn:aws:states:us-east-1:000000000000:stateMachine:${machine}`;
}

/** Documents that were found valid: the validator compiles all its schemas anew each time, which takes it 0.2 s. */
const valid = new Set<string>();

function refuseUnsupported(definition: Asl, resources: Record<string, Handler>): void {
  const problems = unsupportedFeatures(definition);
  for (const [name, state] of statesOf(definition))
    if (state.Type === 'Task' && !String(state.Resource).includes(':sqs:') && !Object.hasOwn(resources, name))
      problems.push(`${name}: there is no handler for it`);
  if (problems.length > 0) throw new UnsupportedDefinitionError(problems.join('\n'));
  // The validator wants ARNs; a handler is found by its state's name, so that a placeholder is as good here.
  // A queue's address, which is another one at each start, is a text like any other to it.
  const withArns = mapStrings(definition, (text) =>
    text.replace(/^\$\{\w+\}$/, PLACEHOLDER_ARN).replace(/^http:\/\/.*/, 'http://placeholder'),
  );
  const document = JSON.stringify(withArns);
  if (valid.has(document)) return;
  try {
    new StateMachine(withArns as never, { validationOptions: { checkArn: false } });
    valid.add(document);
  } catch (cause) {
    throw new UnsupportedDefinitionError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
