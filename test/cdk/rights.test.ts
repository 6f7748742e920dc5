import { afterAll, expect, it } from 'vitest';
import { STEPS } from '../../statemachine/contract.ts';
import { EXAMPLE, TWO_POOLS } from './settings.ts';
import { synthesize, target } from './synth.ts';

const stack = synthesize(TWO_POOLS);
const example = synthesize(EXAMPLE);
afterAll(() => {
  stack.remove();
  example.remove();
});

interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
}

const listed = <T>(one: T | readonly T[]): readonly T[] => (Array.isArray(one) ? one : [one as T]);
const statementsOf = (path: string): readonly Statement[] =>
  stack.one('AWS::IAM::Policy', path).Properties.PolicyDocument.Statement;
const statements = () => Object.keys(stack.all('AWS::IAM::Policy')).flatMap(statementsOf);
const functions = Object.keys(stack.all('AWS::Lambda::Function')).filter(
  (path) => !path.includes('AWS679f53fac'),
);
const actionsOf = (name: string) =>
  statementsOf(`${name}Role/DefaultPolicy`)
    .flatMap(({ Action }) => listed(Action))
    .filter((action) => !/^(logs|xray|ec2):/.test(action))
    .map((action) => action.replace('dynamodb:', ''))
    // What it may do with executions, it may with those of each state machine.
    .filter((action, index, all) => all.indexOf(action) === index)
    .sort();

it('never allows all actions, nor all of a service', () => {
  expect(
    statements()
      .flatMap(({ Action }) => listed(Action))
      .filter((action) => action.includes('*')),
  ).toEqual([]);
});

it('names a resource wherever AWS knows one', () => {
  const everywhere = statements().filter(({ Resource }) => Resource === '*');
  const actions = new Set(
    everywhere.flatMap(({ Action }) => listed(Action)).map((action) => action.split(':')[0]),
  );
  expect([...actions].sort()).toEqual(['ec2', 'logs', 'xray']);
  const onLogs = everywhere.filter(({ Action }) =>
    listed(Action).some((action) => action.startsWith('logs:')),
  );
  // The delivery of the state machine's log.
  expect(onLogs.flatMap(({ Action }) => listed(Action))).not.toContain('logs:PutLogEvents');
  const onEc2 = everywhere
    .flatMap(({ Action }) => listed(Action))
    .filter((action) => action.startsWith('ec2:'));
  expect(
    [...new Set(onEc2)].filter((action) => !/NetworkInterface|Subnets|PrivateIp|PrefixLists/.test(action)),
  ).toEqual([]);
});

it('gives each function a role of its own', () => {
  const roles = functions.map((name) => target(stack.one('AWS::Lambda::Function', name).Properties.Role));
  expect(new Set(roles).size).toBe(functions.length);
  expect(functions).toHaveLength(Object.keys(STEPS).length + 7);
});

it('lets a service take a role for this account alone, and where it says so for what of it', () => {
  const account = { Ref: 'AWS::AccountId' };
  const arns = new Map<string, number>();
  for (const [path, { Properties }] of Object.entries(stack.all('AWS::IAM::Role')))
    for (const { Principal, Condition } of Properties.AssumeRolePolicyDocument.Statement) {
      expect(Condition?.StringEquals?.['aws:SourceAccount'], path).toEqual(account);
      const named = Condition.ArnLike === undefined ? 'any' : 'named';
      const key = `${Principal.Service} ${named}`;
      arns.set(key, (arns.get(key) ?? 0) + 1);
    }
  expect([...arns.keys()].sort()).toEqual([
    'lambda.amazonaws.com any',
    'scheduler.amazonaws.com named',
    'states.amazonaws.com named',
    'vpc-flow-logs.amazonaws.com named',
  ]);
});

it('uses no policy that AWS manages', () => {
  const roles = Object.values(stack.all('AWS::IAM::Role'));
  expect(roles.filter(({ Properties }) => Properties.ManagedPolicyArns !== undefined)).toEqual([]);
});

const READ_AND_CHANGE = ['GetItem', 'UpdateItem'];
const SECRET = 'secretsmanager:GetSecretValue';
it.each([
  ['TakeVm', READ_AND_CHANGE],
  ['InspectVm', [...READ_AND_CHANGE, SECRET]],
  ['VerifyImage', [...READ_AND_CHANGE, SECRET]],
  ['RotateBackups', [...READ_AND_CHANGE, SECRET]],
  ['ReleaseHost', ['DeleteItem', ...READ_AND_CHANGE, 'sqs:ChangeMessageVisibility']],
  ['WakeLines', [...READ_AND_CHANGE, 'sqs:ChangeMessageVisibility']],
  [
    'Admit',
    [
      ...READ_AND_CHANGE,
      'sqs:ChangeMessageVisibility',
      'sqs:DeleteMessage',
      'sqs:GetQueueAttributes',
      'sqs:GetQueueUrl',
      'sqs:ReceiveMessage',
      'states:SendTaskSuccess',
    ],
  ],
  [
    'Reconcile',
    [
      'DeleteItem',
      ...READ_AND_CHANGE,
      'lambda:InvokeFunction',
      SECRET,
      'sqs:SendMessage',
      'states:DescribeExecution',
    ],
  ],
  [
    'Janitor',
    [
      'BatchGetItem',
      'DeleteItem',
      'GetItem',
      'Query',
      'UpdateItem',
      'lambda:InvokeFunction',
      SECRET,
      'sqs:SendMessage',
      'states:DescribeExecution',
      'states:ListExecutions',
      'states:StopExecution',
    ],
  ],
  [
    'Schedules',
    [
      'BatchGetItem',
      'DeleteItem',
      'GetItem',
      'PutItem',
      'Query',
      'UpdateItem',
      SECRET,
      'sqs:SendMessage',
      'states:StartExecution',
      'states:StopExecution',
    ],
  ],
  [
    'Api',
    [
      'BatchGetItem',
      'DeleteItem',
      'GetItem',
      'PutItem',
      'Query',
      'UpdateItem',
      SECRET,
      'states:GetExecutionHistory',
      'states:StartExecution',
      'states:StopExecution',
    ],
  ],
  ['Authorizer', [SECRET]],
])('allows %s what it does, and nothing else', (name, actions) => {
  expect(actionsOf(name)).toEqual(actions);
});

const POOLS = TWO_POOLS.pools.map(({ secretArn }) => secretArn);
const GLANCE = TWO_POOLS.glance.secretArn;
it.each([
  ['InspectVm', POOLS],
  ['StartUpload', [...POOLS, GLANCE]],
  ['DiscardImage', [GLANCE]],
  ['Janitor', [...POOLS, GLANCE]],
  ['Schedules', [...POOLS, GLANCE]],
  ['Authorizer', [GLANCE]],
])('lets %s read these secrets alone', (name, arns) => {
  const reading = statementsOf(`${name}Role/DefaultPolicy`).filter(({ Action }) =>
    listed(Action).includes(SECRET),
  );
  expect(reading.flatMap(({ Resource }) => listed(Resource))).toEqual(arns);
});

it.each([
  ['InspectVm', ['pool']],
  ['StartUpload', ['pool', 'glance']],
  ['DiscardImage', ['glance']],
])('lets %s read, of the secrets that the stack made, those of %j', (name, kinds) => {
  const reading = example
    .one('AWS::IAM::Policy', `${name}Role/DefaultPolicy`)
    .Properties.PolicyDocument.Statement.filter(({ Action }: Statement) => listed(Action).includes(SECRET));
  const resources = reading.flatMap(({ Resource }: Statement) => listed(Resource));
  const ends = kinds.map((kind) => `/${kind}/*`);
  expect(
    resources.map((resource: { 'Fn::Join': [string, unknown[]] }) => resource['Fn::Join'][1].at(-1)),
  ).toEqual(ends);
  const { Variables } = example.one('AWS::Lambda::Function', name).Properties.Environment;
  expect(Variables.XENSNAP_SECRET_PREFIX).toEqual({
    'Fn::Join': [
      '',
      ['xensnap/example/', { 'Fn::Select': [2, { 'Fn::Split': ['/', { Ref: 'AWS::StackId' }] }] }, '/'],
    ],
  });
});

it('puts no secret and no configuration into an environment, which holds 4 KiB at most', () => {
  for (const name of functions) {
    const { Variables } = stack.one('AWS::Lambda::Function', name).Properties.Environment;
    expect(JSON.stringify(Variables).length, name).toBeLessThan(2048);
    expect(Variables.XENSNAP_CONFIG_FILE).toBe('config.json');
  }
});

it('makes the secrets that are not named, empty, and says where they are', () => {
  expect(stack.all('AWS::SecretsManager::Secret')).toEqual({});
  const made = Object.values(example.all('AWS::SecretsManager::Secret'));
  expect(made).toHaveLength(2);
  for (const { Properties, DeletionPolicy } of made) {
    expect(Object.keys(Properties).filter((field) => /String/.test(field))).toEqual([]);
    expect(DeletionPolicy).toBe('Retain');
  }
});
