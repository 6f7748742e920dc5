import type { Place } from '../resolved.ts';

/** What a call of AWS's JSON protocols asks for: an action, and each resource that it must be allowed on. */
export interface Asked {
  readonly action: string;
  readonly resources: readonly string[];
}

type Body = Readonly<Record<string, unknown>>;
interface In {
  readonly place: Place;
  /** ARNs of all state machines. */
  readonly machines: readonly string[];
}

const SERVICES: Readonly<
  Record<string, { service: string; on: (operation: string, body: Body, where: In) => string[] }>
> = {
  DynamoDB_20120810: { service: 'dynamodb', on: tables },
  AmazonSQS: { service: 'sqs', on: queues },
  AWSStepFunctions: { service: 'states', on: executions },
  secretsmanager: { service: 'secretsmanager', on: secrets },
};

/** @param target the header `X-Amz-Target`. Throws for a call whose resource it cannot tell. */
export function askedOf(target: string, body: Body, where: In): Asked {
  const [name = '', operation = ''] = target.split('.');
  const known = SERVICES[name];
  if (!known) throw new Error(`what ${target} is called on is not known here`);
  return { action: `${known.service}:${operation}`, resources: known.on(operation, body, where) };
}

function tables(operation: string, body: Body, { place: { region, account } }: In): string[] {
  const arn = (name: string) =>
    name.startsWith('arn:') ? name : `arn:aws:dynamodb:${region}:${account}:table/${name}`;
  if (operation === 'BatchGetItem' || operation === 'BatchWriteItem')
    return Object.keys(text(body, 'RequestItems', 'object')).map(arn);
  const table = arn(text(body, 'TableName'));
  return [body.IndexName === undefined ? table : `${table}/index/${text(body, 'IndexName')}`];
}

function queues(operation: string, body: Body, { place: { region, account } }: In): string[] {
  const name =
    operation === 'GetQueueUrl' ? text(body, 'QueueName') : text(body, 'QueueUrl').split('/').at(-1);
  return [`arn:aws:sqs:${region}:${account}:${name}`];
}

/** A token names no resource. AWS looks at the state machine that it is of, which may be any of ours. */
function executions(operation: string, body: Body, { machines }: In): string[] {
  if (/^SendTask/.test(operation)) return [...machines];
  return [text(body, 'stateMachineArn' in body ? 'stateMachineArn' : 'executionArn')];
}

function secrets(_operation: string, body: Body, { place: { region, account } }: In): string[] {
  const id = text(body, 'SecretId');
  // Secrets Manager puts six characters of its own behind the name.
  return [id.startsWith('arn:') ? id : `arn:aws:secretsmanager:${region}:${account}:secret:${id}-AbCdEf`];
}

function text(body: Body, field: string): string;
function text(body: Body, field: string, type: 'object'): object;
function text(body: Body, field: string, type: 'string' | 'object' = 'string'): unknown {
  const value = body[field];
  if (typeof value !== type || value === null)
    throw new Error(`${field} of ${JSON.stringify(body)} is no ${type}`);
  return value;
}
