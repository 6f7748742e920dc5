import { execFile, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, expect, it, onTestFinished } from 'vitest';
import { zipOf } from '../../bin/prove/zip.ts';
import { type Answers, aJobView, JOB_ID, stubApi } from './stub-api.ts';

const PROVE = fileURLToPath(new URL('../../bin/prove-aws.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'xensnap-prove-'));
const calls = join(folder, 'calls');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => writeFileSync(calls, ''));

/** Commands of this name, found first: they note how they are called, and answer what they are told. */
function stand(name: string, script: string): void {
  const file = join(folder, name);
  writeFileSync(file, `#!${process.execPath}\n${script}`);
  chmodSync(file, 0o755);
}

const NOTE = `const { appendFileSync, readFileSync } = require('node:fs');
const args = process.argv.slice(2);
appendFileSync(${JSON.stringify(calls)}, args.join(' ') + '\\n');
`;
stand(
  'aws',
  `${NOTE}const answers = JSON.parse(readFileSync(${JSON.stringify(join(folder, 'answers.json'))}, 'utf8'));
const name = args.slice(0, 2).join(' ');
const answer = answers[name];
if (answers.slow === name) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700);
if (answer === undefined || typeof answer === 'string') {
  console.error('\\nAn error occurred (' + (answer ?? 'Unexpected') + ') when calling the operation: ' + name);
  process.exit(254);
}
console.log(JSON.stringify(answer));`,
);
stand('openstack', NOTE);

const TOKEN = join(folder, 'token');
writeFileSync(TOKEN, 'the-operator\n', { mode: 0o600 });

/** The stack as the AWS CLI tells of it; its resources by type and name. */
function stackAt(url: string, resources: Record<string, string[]> = {}): Record<string, unknown> {
  return {
    'cloudformation describe-stacks': {
      Stacks: [
        {
          StackStatus: 'CREATE_COMPLETE',
          Outputs: [{ OutputKey: 'XensnapApiUrl0A1B2C3D', OutputValue: `${url}/` }],
        },
      ],
    },
    'cloudformation list-stack-resources': {
      StackResourceSummaries: Object.entries(resources).flatMap(([ResourceType, names]) =>
        names.map((name) => ({
          LogicalResourceId: `Xensnap${name}0A1B2C3D`,
          PhysicalResourceId: `physical-${name}`,
          ResourceType,
        })),
      ),
    },
  };
}

const env = { PATH: `${folder}:${process.env.PATH}`, NO_COLOR: '1' };
const commandLine = (args: readonly string[]) => [
  ...[PROVE, 'xensnap-example', '--auth', 'token', '--token-file', TOKEN],
  ...args,
];

/** Runs the command with these answers of AWS's; its lines without the colours. */
async function prove(answers: object, args: readonly string[]) {
  writeFileSync(join(folder, 'answers.json'), JSON.stringify(answers));
  return new Promise<{ status: number; lines: string[]; stderr: string }>((resolve) => {
    execFile(process.execPath, commandLine(args), { env }, (error, stdout, stderr) =>
      resolve({ status: Number(error?.code ?? 0), lines: stdout.trimEnd().split('\n'), stderr }),
    );
  });
}

async function api(answers: Answers) {
  const stub = await stubApi(answers);
  onTestFinished(() => stub[Symbol.asyncDispose]());
  return stub;
}

const called = () => readFileSync(calls, 'utf8').trimEnd().split('\n');

it('prints for each line whether it is so, and why not', async () => {
  const { url } = await api({});
  const answers = {
    ...stackAt(url, {
      'AWS::Lambda::Function': ['Admit', 'InspectVm'],
      'AWS::SecretsManager::Secret': ['Secretglancelogin'],
      'AWS::SNS::Topic': ['AlarmTopic'],
    }),
    'lambda get-function-configuration': {
      Runtime: 'nodejs22.x',
      Architectures: ['arm64'],
      LastUpdateStatus: 'Successful',
    },
    'secretsmanager describe-secret': { VersionIdsToStages: { one: ['AWSCURRENT'] } },
    'sns get-topic-attributes': { Attributes: { SubscriptionsConfirmed: '0', SubscriptionsPending: '1' } },
    'lambda get-account-settings': { AccountLimit: { ConcurrentExecutions: 10 } },
  };
  expect(await prove(answers, ['--only', 'deploy'])).toMatchObject({
    status: 1,
    lines: [
      'pass  deploy   the stack is deployed, and no deployment of it was rolled back: CREATE_COMPLETE',
      'FAIL  deploy   every function runs on nodejs24.x and arm64: physical-Admit: nodejs22.x on arm64, Successful',
      'pass  deploy   every secret that the stack has made has a value: 1 secrets',
      'FAIL  deploy   somebody is told of alarms: nobody has confirmed the e-mail yet',
      'FAIL  deploy   the account runs enough functions at once: it has 10 places for all its functions: ask for more (quota L-B99A9384)',
      '2 passed, 3 failed, 0 skipped',
    ],
  });
});

it('makes and disturbs nothing unless it is allowed to', async () => {
  const { url, requests } = await api({});
  const { status, lines } = await prove(stackAt(url), ['--only', 'errors', '--only', 'cancel']);
  expect(status).toBe(0);
  expect(lines.at(-1)).toBe('0 passed, 0 failed, 7 skipped');
  expect(lines[0]).toBe(
    'skip  errors   a function that is over its time has a name that each Retry knows: it makes a function and a role, and deletes them: --disturb allows it',
  );
  expect(lines[6]).toContain('it needs a VM that may be imaged: --vm');
  expect(called()).toHaveLength(2);
  expect(requests).toEqual([]);
});

it('tells an error of AWS from what it must be', async () => {
  const { url } = await api({});
  const answers = (code: string) => ({ ...stackAt(url), 'stepfunctions send-task-success': code });
  const right = await prove(answers('InvalidToken'), ['--only', 'tokens']);
  expect(right.lines.slice(0, 1)).toEqual(['pass  tokens   a token that is none is InvalidToken']);
  const wrong = await prove(answers('ValidationException'), ['--only', 'tokens']);
  expect(wrong.lines.slice(0, 1)).toEqual([
    'FAIL  tokens   a token that is none is InvalidToken: it is ValidationException',
  ]);
  const { lines } = await prove(stackAt(url), ['--only', 'network']);
  expect(lines[0]).toMatch(
    /^FAIL {2}network {2}the stack has made no NAT gateway: An error occurred \(Unexpected\)/,
  );
  const mayNot = { ...stackAt(url), 'ec2 describe-nat-gateways': 'UnauthorizedOperation' };
  expect((await prove(mayNot, ['--only', 'network'])).lines[0]).toMatch(
    /^skip {2}network {2}the stack has made no NAT gateway: your own credentials may not look: /,
  );
});

it('sees what strangers are told', async () => {
  const open = (body: object) => () => [200, body] as [number, object];
  const { url } = await api({
    'GET /': open({}),
    'GET /v2.1': open({}),
    'GET /v1.0': open({}),
    'GET /healthz': open({ status: 'ok', version: '1' }),
    'GET /vms': ({ headers }) =>
      headers['x-auth-token'] === 'the-operator' ? [200, { vms: [{}] }] : [403, {}],
    'GET /snapshots': () => [200, { snapshots: [] }],
  });
  const { lines } = await prove(stackAt(url), ['--only', 'callers']);
  expect(lines.slice(0, 4)).toEqual([
    'FAIL  callers  versions and health are for everybody, and health says one word: GET /healthz: {"status":"ok","version":"1"}',
    'FAIL  callers  nothing else is: GET /snapshots: 200',
    'pass  callers  a token that nobody gave out, and a signature that is none, are refused',
    'pass  callers  the operator is let in, and sees VMs: 1 VMs',
  ]);
});

it('takes away what it has made, though the check failed', async () => {
  const failed = aJobView({
    status: 'failed',
    finishedAt: '2026-01-01T00:01:00.000Z',
    error: { name: 'StorageFull', message: 'the SR is full' },
  });
  const { url, requests } = await api({
    'POST /snapshots': () => [202, aJobView()],
    [`GET /snapshots/${JOB_ID}`]: () => [200, failed],
  });
  const { status, lines } = await prove(stackAt(url), ['--only', 'job', '--vm', 'web-1']);
  expect(status).toBe(1);
  expect(lines[0]).toBe(
    `FAIL  job      a snapshot succeeds, and owes nothing: the job ${JOB_ID} ended failed: the SR is full`,
  );
  expect(requests.filter(({ line }) => line === 'POST /snapshots')).toHaveLength(1);
  expect(called()).toContain(`image delete ${JOB_ID}`);
});

it('takes its role away where the function could not be made, and says what is left', async () => {
  const { url } = await api({});
  const answers = {
    ...stackAt(url),
    'iam create-role': { Role: { Arn: 'arn:aws:iam::1:role/x' } },
    'iam put-role-policy': {},
    'iam delete-role-policy': {},
    'lambda delete-function': 'ResourceNotFoundException',
    'iam delete-role': 'AccessDenied',
  };
  const { lines } = await prove(answers, ['--only', 'errors', '--disturb']);
  const made = called().filter((call) => call.startsWith('iam '));
  // Once, for all the checks.
  expect(made.map((call) => call.split(' ')[1])).toEqual([
    'create-role',
    'put-role-policy',
    'delete-role-policy',
    'delete-role',
  ]);
  expect(lines.at(-2)).toMatch(
    /^FAIL {2}left {5}the role xensnap-probe-[0-9a-f]{8}: An error occurred \(AccessDenied\)/,
  );
  expect(lines.at(-1)).toBe('0 passed, 6 failed, 0 skipped');
});

it('takes away what is being made when Ctrl-C comes, though npm hands it on once more', async () => {
  const { url } = await api({});
  const answers = {
    ...stackAt(url),
    slow: 'iam create-role',
    'iam create-role': { Role: { Arn: 'arn:aws:iam::1:role/x' } },
    'iam put-role-policy': 'LimitExceeded',
    'iam delete-role-policy': 'NoSuchEntity',
    'iam delete-role': {},
  };
  writeFileSync(join(folder, 'answers.json'), JSON.stringify(answers));
  const args = commandLine(['--only', 'errors', '--disturb']);
  // The terminal gives it to everybody in the process group.
  const child = spawn(process.execPath, args, { env, detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const lines = text(child.stdout);
  await expect.poll(called, { timeout: 10_000 }).toContainEqual(expect.stringMatching(/^iam create-role/));
  process.kill(-(child.pid ?? 0), 'SIGINT');
  child.kill('SIGINT');
  expect(await ended).toBe(1);
  expect(called().at(-1)).toMatch(/^iam delete-role /);
  expect(await lines).toMatch(/skip {2}errors .*: interrupted\n0 passed, 1 failed, 4 skipped\n$/);
});

it('says in one line that the AWS CLI does not know who asks', async () => {
  const { status, stderr } = await prove({ 'cloudformation describe-stacks': 'ExpiredToken' }, []);
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr:
      'prove-aws: An error occurred (ExpiredToken) when calling the operation: cloudformation describe-stacks\n',
  });
});

it('switches on again what it has switched off, and ends the job that it has begun', async () => {
  let isCancelled = false;
  const { url, requests } = await api({
    'POST /snapshots': () => [202, aJobView()],
    [`GET /snapshots/${JOB_ID}`]: () => [
      200,
      aJobView(
        isCancelled
          ? { status: 'cancelled', finishedAt: '2026-01-01T00:01:00.000Z' }
          : { status: 'running', phase: 'PollUpload' },
      ),
    ],
    [`DELETE /snapshots/${JOB_ID}`]: () => {
      isCancelled = true;
      return [202, aJobView()];
    },
    'GET /janitor': () => [200, { finishedAt: new Date().toISOString(), findings: [] }],
    'POST /janitor': () => [501, { error: { name: 'NotImplemented', message: 'no' } }],
  });
  const answers = {
    ...stackAt(url, {
      'AWS::Events::Rule': ['JobEnded'],
      'AWS::StepFunctions::StateMachine': ['StateMachine'],
    }),
    'events disable-rule': {},
    'events enable-rule': {},
    'stepfunctions stop-execution': 'ExecutionDoesNotExist',
  };
  const { lines } = await prove(answers, ['--only', 'ends', '--vm', 'web-1', '--disturb']);
  expect(lines.map((line) => line.slice(0, 4))).toEqual(['pass', 'FAIL', 'FAIL', 'FAIL', '1 pa']);
  expect(called().filter((call) => call.startsWith('events '))).toEqual([
    'events disable-rule --name physical-JobEnded --output json',
    'events enable-rule --name physical-JobEnded --output json',
  ]);
  expect(requests.filter(({ line }) => line.startsWith('DELETE'))).toHaveLength(1);
});

it.each([
  [['--only', 'nonsense'], 2, /there is no section nonsense; there are deploy, /],
  [['--vms', 'x'], 2, /unknown option '--vms'/],
])('refuses what it does not know: %j', async (args, status, why) => {
  const ended = await prove({}, args);
  expect(ended.status).toBe(status);
  expect(ended.stderr).toMatch(why);
});

it('passes nothing of which it has looked at nothing', async () => {
  const { url } = await api({
    'GET /doctor': () => [200, { checks: [] }],
    'GET /vms': () => [200, { vms: [], next: null }],
    'GET /snapshots?vm=a%20b%2Bc%27d': () => [500, {}],
    'GET /janitor': () => [200, { finishedAt: new Date().toISOString(), findings: [] }],
    'POST /janitor': () => [200, {}],
  });
  const answers = {
    ...stackAt(url, {
      'AWS::StepFunctions::StateMachine': ['StateMachine'],
      'AWS::SQS::Queue': ['HostQueue'],
      'AWS::Lambda::Function': ['Admit'],
      'AWS::Logs::LogGroup': ['AdmitLog', 'AccessLog'],
      'AWS::IAM::Role': ['AdmitRole'],
    }),
    'lambda get-function-configuration': {},
    'lambda get-account-settings': { AccountLimit: {} },
    'lambda create-function': { FunctionArn: 'arn:f' },
    'sns get-topic-attributes': { Attributes: {} },
    'iam create-role': { Role: { Arn: 'arn:aws:iam::1:role/x' } },
    ...{ 'iam put-role-policy': {}, 'iam delete-role-policy': {}, 'iam delete-role': {} },
    ...{ 'lambda wait': {}, 'lambda delete-function': {} },
    'stepfunctions describe-state-machine': { definition: '{"States":{}}' },
    'stepfunctions test-state': {},
    'stepfunctions send-task-success': {},
    'ec2 describe-vpc-attribute': {},
    'ec2 describe-vpc-endpoints': { VpcEndpoints: [] },
    'logs filter-log-events': { events: [] },
    'cloudwatch list-metrics': { Metrics: [] },
    'cloudtrail lookup-events': { Events: [] },
  };
  const sections = ['deploy', 'network', 'errors', 'ends', 'logs', 'rights', 'tokens', 'history'];
  const { lines } = await prove(answers, [...sections.flatMap((each) => ['--only', each]), '--disturb']);
  // What asks AWS nothing, and what is so of a stack without anything in it.
  expect(lines.filter((line) => line.startsWith('pass'))).toEqual([
    'pass  deploy   the stack is deployed, and no deployment of it was rolled back: CREATE_COMPLETE',
  ]);
});

it.each(['{"at":"OpaqueRef:1-2"}', 'plain OpaqueRef:1-2'])(
  'prints no session that it finds in a log: %s',
  async (message) => {
    const { url } = await api({});
    const answers = {
      ...stackAt(url, { 'AWS::Lambda::Function': ['Admit'], 'AWS::Logs::LogGroup': ['AdmitLog'] }),
      'logs filter-log-events': { events: [{ message }] },
    };
    const { lines } = await prove(answers, ['--only', 'logs']);
    expect(lines[0]).toMatch(/^FAIL .*Admit/);
    expect(lines.join()).not.toContain('1-2');
  },
);

it('says why nothing answers at the API of the stack', async () => {
  const closed = await stubApi({});
  await closed[Symbol.asyncDispose]();
  const { lines } = await prove(stackAt(closed.url), ['--only', 'callers']);
  expect(lines[1]).toMatch(/nothing else is: GET http:.*\/vms: .*ECONNREFUSED/);
});

it('says that there is no such stack', async () => {
  const ended = await prove({ 'cloudformation describe-stacks': 'ValidationError' }, []);
  expect(ended).toMatchObject({
    status: 1,
    stderr: 'prove-aws: there is no stack xensnap-example in this account and region\n',
  });
});

it('makes archives that others unpack', async () => {
  const file = join(folder, 'code.zip');
  writeFileSync(file, zipOf('index.js', 'exports.a = 1;\n'));
  const script =
    'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); z.testzip(); print(z.read("index.js").decode(), end="")';
  const unpacked = await new Promise((resolve) =>
    execFile('python3', ['-c', script, file], (_, stdout) => resolve(stdout)),
  );
  expect(unpacked).toBe('exports.a = 1;\n');
});
