import { cpSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import type { StatusChangeEvent } from '../../local/aws/states/status-event.ts';
import { apiEvent } from '../support/api-event.ts';
import { type Bundled, bundledFunctions, load } from './assembly.ts';
import type { AwsCalls } from './aws-calls.ts';
import type { Engine } from './engine.ts';
import { noteLambdasOwn } from './iam/lambdas-own.ts';
import type { Resolve } from './resolved.ts';
import { type Synthesized, target } from './synth.ts';

/** Runs a function's handler, or fails in its place; `event` is what it was called with. */
export type Around = (name: string, event: unknown, run: () => Promise<unknown>) => Promise<unknown>;

/** What the functions find where they are deployed. */
export interface Surroundings {
  readonly engine: Engine;
  readonly resolve: Resolve;
  readonly calls: AwsCalls;
}

/** The functions of a stack as AWS's services call them, each call with the right that it takes on record. */
export interface Functions {
  /** By Step Functions. */
  step(name: string, state: { readonly jobId: string }): Promise<unknown>;
  /** By the rule on an execution's bad end. */
  ended(event: StatusChangeEvent): Promise<void>;
  /** By the queue's event source mapping. */
  admit(event: SQSEvent): Promise<SQSBatchResponse>;
  /** By a schedule, such as `JanitorSchedule`. */
  scheduled(schedule: string, name: string): Promise<unknown>;
  /** By API Gateway. */
  api(method: string, path: string, body?: object): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/**
 * The functions of a stack. Each waits for `deployed`, and has its own environment out of the template when it is first
 * called, which is when a bundle reads it. `folder` gets the bundles, so that each deployment loads its own, and has
 * `config.json` in the place of theirs.
 */
export function functionsOf(
  stack: Synthesized,
  deployed: Promise<Surroundings>,
  { folder, around = (_name, _event, run) => run() }: { folder: string; around?: Around | undefined },
): Functions {
  const bundles = bundledFunctions(stack);
  const loaded = new Map<string, ReturnType<typeof load>>();
  const variables = bundles.flatMap(({ name }) =>
    Object.keys(stack.one('AWS::Lambda::Function', name).Properties.Environment.Variables),
  );
  const idOf = (name: string) => stack.idOf('AWS::Lambda::Function', name);

  async function invoke(name: string, event: unknown): Promise<unknown> {
    const surroundings = await deployed;
    const handler = loaded.get(name) ?? prepare(name, surroundings);
    loaded.set(name, handler);
    return around(name, event, () => handler(event, {}));
  }

  function prepare(name: string, { engine, resolve, calls }: Surroundings) {
    const bundle = bundles.find((each) => each.name === name);
    if (!bundle) throw new Error(`no function ${name} in the assembly`);
    const { Properties } = stack.one('AWS::Lambda::Function', name);
    for (const variable of variables) delete process.env[variable];
    Object.assign(process.env, resolve<object>(Properties.Environment.Variables), calls.endpointsOf(name), {
      AWS_REGION: engine.aws.region,
      AWS_ACCESS_KEY_ID: engine.aws.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: engine.aws.credentials.secretAccessKey,
      LAMBDA_TASK_ROOT: folder,
    });
    noteLambdasOwn(name, Properties, resolve, calls);
    return load({ ...bundle, file: copied(bundle, folder) });
  }

  /** Calls a function as an event, whose result Lambda hands on where the stack says so. */
  async function invokeAsEvent(name: string, event: unknown): Promise<unknown> {
    const result = await invoke(name, event);
    const { resolve, calls } = await deployed;
    const config = Object.values(stack.all('AWS::Lambda::EventInvokeConfig')).find(
      ({ Properties }) => target(Properties.FunctionName) === idOf(name),
    );
    const next = config?.Properties.DestinationConfig.OnSuccess?.Destination;
    if (next === undefined) return result;
    calls.note({ caller: name, action: INVOKE, resource: resolve(next), byLambda: true });
    const [path = ''] = bundles.map((each) => each.name).filter((each) => idOf(each) === target(next));
    await invoke(path, { responsePayload: result });
    return result;
  }

  return {
    async step(name, state) {
      const { calls, resolve } = await deployed;
      const machine = calls.machineOf(state.jobId);
      const { DefinitionSubstitutions } = stack.one('AWS::StepFunctions::StateMachine', machine).Properties;
      calls.note({
        caller: machine,
        action: INVOKE,
        resource: resolve(DefinitionSubstitutions[`${name}Arn`]),
      });
      return invoke(name, state);
    },
    async ended(event) {
      const { calls, resolve } = await deployed;
      const rule = stack.idOf('AWS::Events::Rule', 'JobEnded');
      calls.note({
        caller: 'events.amazonaws.com',
        action: INVOKE,
        resource: resolve({ 'Fn::GetAtt': [idOf('Reconcile'), 'Arn'] }),
        sourceArn: resolve({ 'Fn::GetAtt': [rule, 'Arn'] }),
      });
      await invokeAsEvent('Reconcile', event);
    },
    admit: (event) => invoke('Admit', event) as Promise<SQSBatchResponse>,
    async scheduled(schedule, name) {
      const { calls, resolve } = await deployed;
      const { Target } = stack.one('AWS::Scheduler::Schedule', schedule).Properties;
      calls.note({ caller: schedule, action: INVOKE, resource: resolve(Target.Arn) });
      return invokeAsEvent(name, {});
    },
    async api(method, path, body) {
      const { calls, resolve, engine } = await deployed;
      const { region, account } = engine.place;
      calls.note({
        caller: 'apigateway.amazonaws.com',
        action: INVOKE,
        resource: resolve({ 'Fn::GetAtt': [idOf('Api'), 'Arn'] }),
        sourceArn: `arn:aws:execute-api:${region}:${account}:${stack.idOf('AWS::ApiGatewayV2::Api', 'HttpApi')}/$default/$default`,
      });
      const answer = (await invoke('Api', apiEvent(method, path, body && JSON.stringify(body)))) as {
        statusCode: number;
        body?: string;
      };
      return { status: answer.statusCode, body: JSON.parse(answer.body || '{}') };
    },
  };
}

const INVOKE = 'lambda:InvokeFunction';

function copied({ name, file }: Bundled, folder: string): string {
  const own = join(folder, 'functions', name);
  cpSync(dirname(file), own, { recursive: true });
  return join(own, 'index.mjs');
}
