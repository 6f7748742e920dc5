import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import {
  CreateStateMachineCommand,
  DescribeExecutionCommand,
  type DescribeExecutionCommandOutput,
  paginateListExecutions,
  SFNClient,
} from '@aws-sdk/client-sfn';
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  type ReceiveMessageCommandOutput,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { ENDED_ATTEMPTS, rule } from '../../local/aws/rules.ts';
import { substitute } from '../../local/aws/states/definition.ts';
import type { StatusChangeEvent } from '../../local/aws/states/status-event.ts';
import type { StepName } from '../../statemachine/contract.ts';
import type { Deployment, Engine, StartEngine } from '../cdk/engine.ts';
import { askedOf } from '../cdk/iam/asked.ts';
import { type Place, type Resolve, resolverOf } from '../cdk/resolved.ts';
import type { Synthesized } from '../cdk/synth.ts';
import { startBack } from './invoke-server.ts';
import { MOTO, MOTO_ACCOUNT } from './moto.ts';

const CLIENT = { ...MOTO, useQueueUrlAsEndpoint: false };

/**
 * Makes, in moto, the table, the queue, the secrets and the state machines of a stack as its template has them. What moto
 * lacks, this does: Lambda, the event that tells of an execution's end, and the rule on it.
 */
export const motoEngine: StartEngine = async (deployment) => {
  const { stack, secrets } = deployment;
  await using starting = new AsyncDisposableStack();
  const clients = {
    table: starting.adopt(new DynamoDBClient(CLIENT), (client) => client.destroy()),
    sqs: starting.adopt(new SQSClient(CLIENT), (client) => client.destroy()),
    secrets: starting.adopt(new SecretsManagerClient(CLIENT), (client) => client.destroy()),
    sfn: starting.adopt(new SFNClient(CLIENT), (client) => client.destroy()),
  };
  const anywhere: Place = { account: MOTO_ACCOUNT, region: MOTO.region };
  const queueId = stack.idOf('AWS::SQS::Queue', 'HostQueue');
  const queueUrl = await createQueue(clients.sqs, stack, queueId, resolverOf(stack, anywhere));
  const place: Place = { ...anywhere, called: { [queueId]: queueUrl } };
  const resolve = resolverOf(stack, place);
  await createTable(clients.table, stack, resolve);
  for (const [Name, SecretString] of Object.entries(secrets))
    await clients.secrets.send(new CreateSecretCommand({ Name, SecretString }));
  const machines = await createMachines(clients.sfn, deployment, resolve);
  const back = await startBack(backOf(deployment, place, resolve));
  starting.defer(() => back.close());
  const ending = watchEnds(clients.sfn, deployment, machines);
  starting.defer(() => ending.stop());
  const running = starting.move();
  return {
    place,
    environment: {
      AWS_ENDPOINT_URL_DYNAMODB: MOTO.endpoint,
      AWS_ENDPOINT_URL_SFN: MOTO.endpoint,
      AWS_ENDPOINT_URL_SQS: MOTO.endpoint,
      AWS_ENDPOINT_URL_SECRETS_MANAGER: MOTO.endpoint,
    },
    aws: { region: MOTO.region, credentials: MOTO.credentials },
    queue: queueOf(clients.sqs, queueUrl, resolve({ 'Fn::GetAtt': [queueId, 'Arn'] })),
    adaptReceiver: receiveShortly,
    settled: () => ending.settled(),
    close: () => running.disposeAsync(),
  };
};

async function createQueue(client: SQSClient, stack: Synthesized, id: string, resolve: Resolve) {
  const { Properties } = stack.one('AWS::SQS::Queue', 'HostQueue');
  const attributes = Object.entries(Properties).filter(([name]) => name !== 'Tags');
  const { QueueUrl } = await client.send(
    new CreateQueueCommand({
      QueueName: resolve<string>({ 'Fn::GetAtt': [id, 'QueueName'] }),
      Attributes: Object.fromEntries(attributes.map(([name, value]) => [name, String(value)])),
    }),
  );
  return QueueUrl ?? '';
}

async function createTable(client: DynamoDBClient, stack: Synthesized, resolve: Resolve) {
  const { Properties } = stack.one('AWS::DynamoDB::Table', 'Table');
  const { AttributeDefinitions, KeySchema, GlobalSecondaryIndexes, BillingMode } = Properties;
  await client.send(
    new CreateTableCommand({
      TableName: resolve<string>({ Ref: stack.idOf('AWS::DynamoDB::Table', 'Table') }),
      ...{ AttributeDefinitions, KeySchema, GlobalSecondaryIndexes, BillingMode },
    }),
  );
}

async function createMachines(client: SFNClient, { stack, documents }: Deployment, resolve: Resolve) {
  const paths = { snapshot: 'StateMachine', restore: 'RestoreMachine' } as const;
  const made = Object.entries(paths).map(async ([kind, path]) => {
    const { Properties } = stack.one('AWS::StepFunctions::StateMachine', path);
    const { stateMachineArn = '' } = await client.send(
      new CreateStateMachineCommand({
        name: stack.idOf('AWS::StepFunctions::StateMachine', path),
        definition: JSON.stringify(
          substitute(documents[kind as keyof typeof paths], resolve(Properties.DefinitionSubstitutions)),
        ),
        roleArn: resolve<string>(Properties.RoleArn),
      }),
    );
    return stateMachineArn;
  });
  return Promise.all(made);
}

/** Lambda, and what Step Functions ask of other services. */
function backOf({ stack, handlers, calls }: Deployment, place: Place, resolve: Resolve) {
  const steps = new Map(
    Object.entries(stack.all('AWS::Lambda::Function')).map(([name, { Properties }]) => [
      resolve<string>({ 'Fn::GetAtt': [stack.idOf('AWS::Lambda::Function', name), 'Arn'] }),
      { name, seconds: Number(Properties.Timeout) },
    ]),
  );
  const stepOf = (arn: string) => steps.get(arn.replace(/:\d+$/, '')) ?? { name: arn, seconds: 0 };
  return {
    invoke: (arn: string, payload: unknown) => handlers.step(stepOf(arn).name as StepName, payload as never),
    seconds: (arn: string) => stepOf(arn).seconds,
    onCall: async (target: string, body: Readonly<Record<string, unknown>>) => {
      const { action, resources } = askedOf(target, body, { place, machines: [] });
      const { jobId } = JSON.parse(String(body.MessageBody));
      const noted = await calls;
      for (const resource of resources) noted.note({ caller: noted.machineOf(jobId), action, resource });
    },
  };
}

/** moto tells nobody of an execution's end: it is looked for. */
function watchEnds(client: SFNClient, { handlers, clock }: Deployment, machines: readonly string[]) {
  const told = new Set<string>();
  const stopping = new AbortController();
  const ending = rule<StatusChangeEvent>({
    target: (event) => handlers.ended(event),
    clock,
    matches: ({ detail }) => detail.status !== 'SUCCEEDED',
    attempts: ENDED_ATTEMPTS,
  });
  async function look(): Promise<void> {
    for (const stateMachineArn of machines)
      for await (const { executions = [] } of paginateListExecutions({ client }, { stateMachineArn }))
        for (const { executionArn = '', status } of executions) {
          if (status === 'RUNNING' || told.has(executionArn)) continue;
          told.add(executionArn);
          ending.deliver(eventOf(await client.send(new DescribeExecutionCommand({ executionArn }))));
        }
  }
  async function looks(): Promise<void> {
    while (!stopping.signal.aborted) {
      await look();
      await delay(250, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }
  const looking = looks();
  return {
    async settled() {
      await look();
      await ending.settled();
    },
    async stop() {
      stopping.abort();
      await looking;
      await ending.stop();
    },
  };
}

function eventOf(execution: DescribeExecutionCommandOutput): StatusChangeEvent {
  const { executionArn = '', stateMachineArn = '', name = '', status, startDate, stopDate } = execution;
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': 'Step Functions Execution Status Change',
    source: 'aws.states',
    account: MOTO_ACCOUNT,
    time: new Date().toISOString(),
    region: MOTO.region,
    resources: [executionArn],
    detail: {
      ...{ executionArn, stateMachineArn, name },
      status: status as StatusChangeEvent['detail']['status'],
      startDate: startDate?.getTime() ?? 0,
      stopDate: stopDate?.getTime() ?? null,
      input: execution.input ?? '',
      output: execution.output ?? null,
      error: execution.error ?? null,
      cause: execution.cause ?? null,
    },
  };
}

/**
 * In place of long polls. Which lines are blocked, moto looks at once for each poll, so that one that begins beside a
 * blocked line would not see it free for 20 seconds, and it spends them in a busy loop.
 */
function receiveShortly({ middlewareStack }: SQSClient): void {
  middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        if (commandName !== 'ReceiveMessageCommand') return next(args);
        const answer = await next({ ...args, input: { ...args.input, WaitTimeSeconds: 0 } });
        const { Messages = [] } = answer.output as ReceiveMessageCommandOutput;
        if (Messages.length === 0) await delay(200);
        return answer;
      },
    { step: 'initialize' },
  );
}

function queueOf(client: SQSClient, queueUrl: string, queueArn: string): Engine['queue'] {
  return {
    ...{ endpoint: MOTO.endpoint, queueUrl, queueArn },
    async depth() {
      const { Attributes = {} } = await client.send(
        new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ['All'] }),
      );
      return {
        waiting: Number(Attributes.ApproximateNumberOfMessages),
        inFlight: Number(Attributes.ApproximateNumberOfMessagesNotVisible),
      };
    },
    close: async () => {},
  };
}
