import { afterAll, expect, it } from 'vitest';
import { createApp } from '../../cdk/app.ts';
import { DEFAULT_TIMINGS as Timings } from '../../functions/cost/model.ts';
import { TABLE } from '../../functions/store/table.ts';
import { STEPS } from '../../statemachine/contract.ts';
import { EXAMPLE, TWO_POOLS } from './settings.ts';
import { synthesize, target } from './synth.ts';

const stack = synthesize(EXAMPLE);
const destroyed = synthesize(TWO_POOLS);
afterAll(() => {
  stack.remove();
  destroyed.remove();
});

const typed = (types: RegExp) =>
  Object.values(destroyed.template.Resources).filter(({ Type }) => types.test(Type));

it("serves the hosts' lines without ever giving a message up", () => {
  const { Properties: queue } = stack.one('AWS::SQS::Queue', 'HostQueue');
  expect(queue).toEqual({
    FifoQueue: true,
    ContentBasedDeduplication: true,
    DeduplicationScope: 'messageGroup',
    FifoThroughputLimit: 'perMessageGroupId',
    MessageRetentionPeriod: 14 * 86_400,
    SqsManagedSseEnabled: true,
    VisibilityTimeout: expect.any(Number),
  });
  const { Properties: admit } = stack.one('AWS::Lambda::Function', 'Admit');
  expect(queue.VisibilityTimeout).toBeGreaterThan(6 * admit.Timeout);
  const [mapping] = Object.values(stack.all('AWS::Lambda::EventSourceMapping'));
  expect(mapping?.Properties).toMatchObject({
    BatchSize: 1,
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    ScalingConfig: { MaximumConcurrency: 10 },
  });
});

it('traces every function but those which are called so often that they only join', () => {
  const traced = Object.entries(stack.all('AWS::Lambda::Function'))
    .filter(([path]) => !path.includes('AWS679f53fac'))
    .map(([path, { Properties }]) => [path, Properties.TracingConfig?.Mode]);
  expect(traced.filter(([, mode]) => mode !== 'Active')).toEqual([
    ['Admit', 'PassThrough'],
    ['WakeLines', 'PassThrough'],
    ['Schedules', 'PassThrough'],
  ]);
  expect(traced.length).toBeGreaterThan(15);
});

it('encrypts every queue, and lets nobody in without TLS', () => {
  const queues = Object.values(stack.all('AWS::SQS::Queue'));
  expect(queues.map(({ Properties }) => Properties.SqsManagedSseEnabled)).toEqual(queues.map(() => true));
  const policies = Object.values(stack.all('AWS::SQS::QueuePolicy'));
  expect(policies).toHaveLength(queues.length);
  for (const { Properties } of policies)
    expect(Properties.PolicyDocument.Statement).toContainEqual(
      expect.objectContaining({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
    );
});

it('has the table as the functions read it, on demand, encrypted, and restorable to any time', () => {
  const { Properties: table, DeletionPolicy } = stack.one('AWS::DynamoDB::Table', 'Table');
  expect(table).toMatchObject({
    KeySchema: [{ AttributeName: TABLE.key, KeyType: 'HASH' }],
    BillingMode: 'PAY_PER_REQUEST',
    SSESpecification: { SSEEnabled: true },
    PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
    TimeToLiveSpecification: { AttributeName: TABLE.ttl, Enabled: true },
    DeletionProtectionEnabled: true,
    GlobalSecondaryIndexes: Object.entries(TABLE.indexes).map(([IndexName, key]) => ({
      IndexName,
      KeySchema: [
        { AttributeName: key, KeyType: 'HASH' },
        { AttributeName: TABLE.sortKey, KeyType: 'RANGE' },
      ],
      Projection: { ProjectionType: 'KEYS_ONLY' },
    })),
  });
  expect(DeletionPolicy).toBe('Retain');
});

it('keeps nothing where the configuration says so', () => {
  const kept = typed(/^AWS::(DynamoDB::Table|Logs::LogGroup|SecretsManager::Secret|SQS::Queue)$/).filter(
    ({ DeletionPolicy }) => DeletionPolicy !== 'Delete',
  );
  expect(kept.map(({ Type }) => Type)).toEqual(
    kept.filter(({ Type }) => Type === 'AWS::SQS::Queue').map(() => 'AWS::SQS::Queue'),
  );
  expect(destroyed.one('AWS::DynamoDB::Table', 'Table').Properties.DeletionProtectionEnabled).toBe(false);
});

it('is protected against its deletion, unless the settings say otherwise', () => {
  const protection = (settings: object) =>
    createApp({ context: { xensnap: settings, 'aws:cdk:bundling-stacks': [] } }).stack.terminationProtection;
  expect([protection(EXAMPLE), protection({ ...EXAMPLE, terminationProtection: false })]).toEqual([
    true,
    false,
  ]);
});

it('lets every log end some day', () => {
  const logs = Object.values(stack.all('AWS::Logs::LogGroup'));
  expect(logs.filter(({ Properties }) => !(Properties.RetentionInDays > 0))).toEqual([]);
});

it.each([
  ['iam', EXAMPLE, 'AWS_IAM'],
  [
    'jwt',
    { ...EXAMPLE, authorisation: { type: 'jwt', issuer: 'https://id.example', audience: ['x'] } },
    'JWT',
  ],
  ['keystone', TWO_POOLS, 'CUSTOM'],
])('answers nobody without authorisation by %s, but for versions and health', (_, settings, type) => {
  const made = synthesize(settings);
  made.remove();
  const routes = Object.values(made.all('AWS::ApiGatewayV2::Route')).map(({ Properties }) => Properties);
  const open = routes.filter(({ AuthorizationType }) => AuthorizationType === 'NONE');
  expect(open.map(({ RouteKey }) => RouteKey).sort()).toEqual([
    'GET /',
    'GET /healthz',
    'GET /v1.0',
    'GET /v2.1',
  ]);
  const closed = routes.filter((route) => !open.includes(route));
  expect(closed.map(({ RouteKey, AuthorizationType }) => [RouteKey, AuthorizationType])).toEqual([
    ['$default', type],
  ]);
});

it('reserves places for what must not starve only where the settings say so: a new account has none to give', () => {
  const reserved = (settings: object): Record<string, number> => {
    const made = synthesize(settings);
    made.remove();
    const functions = Object.entries(made.all('AWS::Lambda::Function'));
    return Object.fromEntries(
      functions
        .map(([name, { Properties }]) => [name, Properties.ReservedConcurrentExecutions])
        .filter(([, places]) => places !== undefined),
    );
  };
  expect(reserved(TWO_POOLS)).toEqual({});
  const places = reserved({ ...TWO_POOLS, reserveConcurrency: true });
  const { Properties: stage } = destroyed.one('AWS::ApiGatewayV2::Stage', 'Stage');
  const [mapping] = Object.values(destroyed.all('AWS::Lambda::EventSourceMapping'));
  expect(places).toEqual({
    Api: stage.DefaultRouteSettings.ThrottlingBurstLimit,
    Authorizer: stage.DefaultRouteSettings.ThrottlingBurstLimit,
    Admit: mapping?.Properties.ScalingConfig.MaximumConcurrency,
    WakeLines: 5,
    Reconcile: 20,
    Janitor: 2,
    Schedules: 3,
  });
  // As docs/deploy.md says.
  expect(Object.values(places).reduce((sum, each) => sum + each, 0)).toBe(120);
});

it("keeps Keystone's answer only for a while, and only for the token that it was about", () => {
  const [authorizer] = Object.values(destroyed.all('AWS::ApiGatewayV2::Authorizer'));
  expect(authorizer?.Properties).toMatchObject({
    IdentitySource: ['$request.header.X-Auth-Token'],
    AuthorizerResultTtlInSeconds: 30,
    EnableSimpleResponses: true,
  });
});

it('limits how fast the API may be asked, and writes down who asked, without a header', () => {
  const { Properties: stage } = stack.one('AWS::ApiGatewayV2::Stage', 'Stage');
  expect(stage.DefaultRouteSettings).toEqual({ ThrottlingRateLimit: 20, ThrottlingBurstLimit: 40 });
  expect(stage.AccessLogSettings.Format).not.toMatch(/header|querystring|authorization/i);
  expect(JSON.parse(stage.AccessLogSettings.Format)).toMatchObject({
    caller: '$context.identity.userArn',
    subject: '$context.authorizer.claims.sub',
    client: '$context.authorizer.claims.client_id',
    user: '$context.authorizer.userId',
    project: '$context.authorizer.projectId',
  });
});

it('has reconcile called for every bad end of this state machine, and keeps what it fails at', () => {
  const [rule] = Object.values(stack.all('AWS::Events::Rule'));
  expect(rule?.Properties.EventPattern.detail.status).toEqual(['FAILED', 'TIMED_OUT', 'ABORTED']);
  expect(target(rule?.Properties.EventPattern.detail.stateMachineArn[0])).toMatch(/^XensnapStateMachine/);
  expect(target(rule?.Properties.Targets[0].DeadLetterConfig.Arn)).toMatch(/^XensnapReconcileFailures/);
});

it('runs the janitor every 15 minutes, and keeps what it fails at', () => {
  const { Properties: schedule } = stack.one('AWS::Scheduler::Schedule', 'JanitorSchedule');
  expect(schedule.ScheduleExpression).toBe('rate(15 minutes)');
  expect(target(schedule.Target.DeadLetterConfig.Arn)).toMatch(/^XensnapJanitorFailures/);
  const destinations = Object.values(stack.all('AWS::Lambda::EventInvokeConfig')).map(({ Properties }) =>
    target(Properties.DestinationConfig.OnFailure.Destination)?.replace(/[0-9A-F]{8}$/, ''),
  );
  expect(destinations).toEqual([
    'XensnapReconcileFailures',
    'XensnapJanitorFailures',
    'XensnapBackupFailures',
  ]);
});

it("looks at the schedules every minute, and lets only this group's trigger do so", () => {
  const { Properties: schedule } = stack.one('AWS::Scheduler::Schedule', 'BackupsSchedule');
  expect(schedule.ScheduleExpression).toBe('rate(1 minute)');
  expect(schedule.FlexibleTimeWindow).toEqual({ Mode: 'OFF' });
  expect(target(schedule.Target.Arn)).toMatch(/^XensnapSchedules/);
  expect(target(schedule.Target.DeadLetterConfig.Arn)).toMatch(/^XensnapBackupFailures/);
  const role = stack.one('AWS::IAM::Role', 'BackupsRole');
  const [statement] = role.Properties.AssumeRolePolicyDocument.Statement;
  expect(statement.Principal).toEqual({ Service: 'scheduler.amazonaws.com' });
  expect(target(statement.Condition.ArnLike['aws:SourceArn'])).toMatch(/^XensnapBackups/);
});

it('tells the topic of every alarm, and the topic the operators', () => {
  const alarms = Object.entries(stack.all('AWS::CloudWatch::Alarm'));
  for (const [, { Properties }] of alarms) {
    expect(Properties.AlarmActions.map(target)).toEqual([expect.stringMatching(/^XensnapAlarmTopic/)]);
    expect(Properties.OKActions).toEqual(Properties.AlarmActions);
    expect(Properties.AlarmDescription).toMatch(/\.$/);
    expect(Properties.TreatMissingData).toBe('notBreaching');
  }
  expect(alarms.map(([path]) => path).sort()).toEqual([
    ...[
      'AdmitErrors',
      'ApiErrors',
      'BackupFailed',
      'BackupOverdue',
      'ExecutionsThrottled',
      'FunctionsThrottled',
    ],
    ...['JanitorErrors', 'JanitorFailed'],
    ...['JanitorFindings', 'JobFailed', 'MalformedMessage', 'PoolPaused', 'QueueAge', 'ReconcileErrors'],
    ...[
      'ReconcileFailed',
      'RestoreFailed',
      'RestoreTestFailed',
      'RestoreTestOverdue',
      'SchedulesErrors',
      'StepErrorsFromDiscardImage',
      'StepErrorsFromRotateBackups',
      'StepErrorsFromTakeVm',
      'TableThrottled',
      'VmLeftUnlocked',
      'WakeLinesErrors',
    ],
  ]);
  const [subscription] = Object.values(stack.all('AWS::SNS::Subscription'));
  expect(subscription?.Properties).toMatchObject({ Protocol: 'email', Endpoint: EXAMPLE.alarmEmail });
});

it('looks at the waits that admission tells, since SQS leaves out of its own what was received three times', () => {
  const { Properties } = stack.one('AWS::CloudWatch::Alarm', 'QueueAge');
  expect(Properties).toMatchObject({
    Namespace: 'xensnap',
    MetricName: 'WaitedSeconds',
    Statistic: 'Maximum',
    Threshold: 12 * 3600,
  });
  // A line is looked at, and so tells, at least once in a period.
  expect(Properties.Period).toBeGreaterThanOrEqual(2 * Timings.admissionRetrySeconds);
});

it.each(['BackupOverdue', 'RestoreTestOverdue', 'JanitorFindings', 'VmLeftUnlocked'])(
  'lets %s last for as long as what is told every 15 minutes is so, and tells of it once',
  (alarm) => {
    const { Properties } = stack.one('AWS::CloudWatch::Alarm', alarm);
    expect(Properties.Period).toBeGreaterThanOrEqual(2 * 15 * 60);
  },
);

it('takes, of what an alarm adds up, what was not written for none', () => {
  const sums = Object.entries(stack.all('AWS::CloudWatch::Alarm')).filter(
    ([, { Properties }]) => Properties.Metrics,
  );
  expect(sums.length).toBeGreaterThan(4);
  for (const [path, { Properties }] of sums) {
    const [sum, ...more] = Properties.Metrics.filter((one: { Expression?: string }) => one.Expression);
    expect(more, path).toEqual([]);
    const metrics = Properties.Metrics.filter((one: { MetricStat?: object }) => one.MetricStat);
    expect(metrics.length, path).toBeLessThanOrEqual(10);
    expect(sum.Expression).toBe(metrics.map(({ Id }: { Id: string }) => `FILL(${Id}, 0)`).join(' + '));
  }
});

it('wakes the lines whose slots reconcile and the janitor gave back', () => {
  const destinations = Object.values(stack.all('AWS::Lambda::EventInvokeConfig')).map(({ Properties }) =>
    target(Properties.DestinationConfig.OnSuccess?.Destination)?.replace(/[0-9A-F]{8}$/, ''),
  );
  expect(destinations).toEqual(['XensnapWakeLines', 'XensnapWakeLines', undefined]);
});

it('looks at every step, for no alarm adds up more than ten metrics', () => {
  const sums = Object.entries(stack.all('AWS::CloudWatch::Alarm')).filter(([path]) =>
    path.startsWith('StepErrors'),
  );
  const looked = sums.flatMap(([, { Properties }]) => {
    const metrics = Properties.Metrics.filter((one: { MetricStat?: object }) => one.MetricStat);
    expect(metrics.length).toBeLessThanOrEqual(10);
    return metrics;
  });
  expect(looked).toHaveLength(Object.keys(STEPS).length);
});

it('lets CloudWatch, for alarms of this account alone, publish to every topic that an alarm has as its action', () => {
  const policies = Object.values(stack.all('AWS::SNS::TopicPolicy'));
  const alarms = Object.values(stack.all('AWS::CloudWatch::Alarm'));
  expect(alarms.length).toBeGreaterThan(10);
  for (const { Properties } of alarms)
    for (const action of Properties.AlarmActions) {
      // Without a policy SNS has one that lets the account in; one of the stack's replaces it.
      const statements = policies
        .filter((policy) =>
          policy.Properties.Topics.some((topic: unknown) => target(topic) === target(action)),
        )
        .flatMap((policy) => policy.Properties.PolicyDocument.Statement);
      const mayPublish = statements.filter(
        (statement) =>
          statement.Effect === 'Allow' &&
          statement.Principal.Service === 'cloudwatch.amazonaws.com' &&
          statement.Action === 'sns:Publish' &&
          target(statement.Resource) === target(action),
      );
      expect(mayPublish.map(({ Condition }) => Condition)).toEqual([
        {
          StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } },
          ArnLike: { 'aws:SourceArn': expect.anything() },
        },
      ]);
      expect(JSON.stringify(mayPublish)).toContain(':alarm:*');
      expect(statements.filter(({ Effect }) => Effect === 'Deny')).toHaveLength(1);
    }
});
