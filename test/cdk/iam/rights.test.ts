import { afterAll, expect, it } from 'vitest';
import { resolverOf } from '../resolved.ts';
import { EXAMPLE } from '../settings.ts';
import { type Resource, synthesize } from '../synth.ts';
import { type Call, idleRights, refusals, rightsOf } from './rights.ts';

const stack = synthesize(EXAMPLE);
afterAll(stack.remove);
const place = { account: '111122223333', region: 'eu-central-1' };
const resolve = resolverOf(stack, place);
const rights = rightsOf(stack, resolve);
const arn = (type: string, path: string) =>
  resolve<string>({ 'Fn::GetAtt': [stack.idOf(type, path), 'Arn'] });

const table = arn('AWS::DynamoDB::Table', 'Table');
const queue = arn('AWS::SQS::Queue', 'HostQueue');
const reconcile = arn('AWS::Lambda::Function', 'Reconcile');
const rule = arn('AWS::Events::Rule', 'JobEnded');
const machine = arn('AWS::StepFunctions::StateMachine', 'StateMachine');
const INVOKE = 'lambda:InvokeFunction';

it.each<[string, Call]>([
  ['a step read its job', { caller: 'InspectVm', action: 'dynamodb:GetItem', resource: table }],
  ['the API list', { caller: 'Api', action: 'dynamodb:Query', resource: `${table}/index/byVm` }],
  ['admission answer', { caller: 'Admit', action: 'states:SendTaskSuccess', resource: machine }],
  ['the state machine queue', { caller: 'StateMachine', action: 'sqs:SendMessage', resource: queue }],
  [
    'a job keep the version of a step that it began with',
    { caller: 'StateMachine', action: INVOKE, resource: `${arn('AWS::Lambda::Function', 'TakeVm')}:7` },
  ],
  [
    'its own rule call reconcile',
    { caller: 'events.amazonaws.com', action: INVOKE, resource: reconcile, sourceArn: rule },
  ],
])('lets %s', (_what, call) => {
  expect(rights.refusal(call)).toBeUndefined();
});

it.each<[string, Call, RegExp]>([
  [
    'a step from another table',
    { caller: 'InspectVm', action: 'dynamodb:GetItem', resource: `${table}2` },
    /not allowed by the role/,
  ],
  [
    'a step from an index',
    { caller: 'InspectVm', action: 'dynamodb:Query', resource: `${table}/index/byVm` },
    /not allowed by the role/,
  ],
  [
    'who is nobody',
    { caller: 'Nobody', action: 'dynamodb:GetItem', resource: table },
    /not allowed by the role/,
  ],
  [
    "another's rule from reconcile",
    { caller: 'events.amazonaws.com', action: INVOKE, resource: reconcile, sourceArn: `${rule}2` },
    /not allowed by the policy of what/,
  ],
  [
    'another service from reconcile',
    { caller: 's3.amazonaws.com', action: INVOKE, resource: reconcile, sourceArn: rule },
    /not allowed by the policy of what/,
  ],
])('keeps %s', (_what, call, why) => {
  expect(rights.refusal(call)).toMatch(why);
});

it('reaches, from within the VPC, only services that have an endpoint there, which must let it through', () => {
  const read = { action: 'dynamodb:GetItem', resource: table };
  const withEndpoints = (change: (endpoints: [string, Resource][]) => [string, Resource][]) => {
    const all: typeof stack.all = (type) =>
      type === 'AWS::EC2::VPCEndpoint'
        ? Object.fromEntries(change(Object.entries(stack.all(type))))
        : stack.all(type);
    return rightsOf({ ...stack, all }, resolve);
  };
  const without = withEndpoints((all) => all.filter(([path]) => !path.endsWith('DynamodbEndpoint')));
  expect(without.refusal({ caller: 'InspectVm', ...read })).toMatch(/no endpoint of dynamodb/);
  expect(without.refusal({ caller: 'TakeVm', ...read })).toBeUndefined();
  const text = JSON.stringify({ Ref: 'AWS::AccountId' });
  const others = withEndpoints((all) => JSON.parse(JSON.stringify(all).replaceAll(text, '"999999999999"')));
  expect(others.refusal({ caller: 'InspectVm', ...read })).toMatch(/not allowed by the endpoint of dynamodb/);
});

it('misses whichever right is taken away, and tells those that nothing takes', () => {
  const calls: Call[] = [
    { caller: 'ReleaseHost', action: 'dynamodb:DeleteItem', resource: table },
    { caller: 'ReleaseHost', action: 'dynamodb:UpdateItem', resource: table },
  ];
  const role = rights.roleOf({ caller: 'ReleaseHost', action: '', resource: '' });
  for (const call of calls) {
    const grants = rights.granted().filter((each) => each.role === role && each.action === call.action);
    expect(grants.flatMap((grant) => refusals(calls, rights.without(grant)))).toEqual([
      `ReleaseHost ${call.action} on ${table}: not allowed by the role ${role}`,
    ]);
  }
  const idle = idleRights(calls, rights).filter((right) => right.startsWith('ReleaseHost'));
  expect(idle.map((right) => right.split(' ')[1])).toEqual([
    'logs:CreateLogStream',
    'logs:PutLogEvents',
    'dynamodb:GetItem',
    'xray:PutTraceSegments',
    'xray:PutTelemetryRecords',
    'sqs:ChangeMessageVisibility',
  ]);
});
